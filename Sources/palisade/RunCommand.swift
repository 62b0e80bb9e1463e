import ArgumentParser
import Foundation
import Jobs
import Messaging
import Tensors

/// `palisade run`: the whole system in one process.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Ask a model about pictures, in this process.",
    discussion: """
      PaliGemma's prompts are tasks: "caption en", "detect cat ; dog", "ocr", "segment cat",
      "answer en what color is the car?". Several pictures give one answer each, in order;
      --together shows all of them to the model at once.

        palisade run --model DIR --image a.jpg b.png --prompt "caption en"
        palisade run --model DIR --image a.jpg --prompt "detect cat" --annotate drawn/
        palisade run --model DIR --image a.jpg --prompt "segment cat" --json \
          --mask-decoder vae-oid.npz --masks masks/

      Exit code 0 when every picture was answered, 1 when one was not.
      """)

  @Option(help: "The model's folder, in the Hugging Face layout.")
  var model: String
  @Option(
    parsing: .upToNextOption, help: "Pictures: JPEG, PNG or WebP. May be given more than once.")
  var image: [String]
  @Option(help: "What to ask.")
  var prompt: String
  @Flag(help: "Show all pictures to the model in one prompt, for one answer.")
  var together = false
  @Option(help: "Tokens of an answer at most.")
  var maxTokens: Int = 256
  @Option(help: "0 always takes the likeliest token; higher draws more freely.")
  var temperature: Float = 0
  @Option(help: "Draw from so many of the likeliest tokens only; 0 from all.")
  var topK: Int = 0
  @Option(help: "Draw from the likeliest tokens up to this probability only.")
  var topP: Float = 1
  @Option(help: "Start of the draws: the same seed gives the same answer.")
  var seed: UInt64 = 0
  @Flag(help: "Keep the answer to a detect or segment prompt to the task's form.")
  var constrain = false
  @Option(help: "Report each token's log-probability, and those of so many alternatives.")
  var logprobs: Int?
  @Flag(help: "One JSON object a line for each answer, instead of text.")
  var json = false
  @Option(help: "Write the pictures with the answers drawn on them to this folder.")
  var annotate: String?
  @Option(help: "Write the masks as PNG files to this folder; needs --mask-decoder.")
  var masks: String?
  @OptionGroup var local: LocalOptions

  func validate() throws {
    guard !image.isEmpty else { throw ValidationError("give at least one --image FILE") }
    guard masks == nil || local.maskDecoder != nil else {
      throw ValidationError("--masks needs --mask-decoder FILE.npz; without it there are no masks")
    }
    guard !constrain || PromptTask.grammar(of: prompt) != nil else {
      throw ValidationError("--constrain goes with prompts that begin with detect or segment")
    }
    guard maxTokens >= 1 else { throw ValidationError("--max-tokens takes 1 or more") }
    guard temperature.isFinite, temperature >= 0 else {
      throw ValidationError("--temperature takes 0 or more")
    }
    guard topP > 0, topP <= 1 else { throw ValidationError("--top-p takes more than 0, up to 1") }
    guard (0...Int(Int32.max)).contains(topK) else {
      throw ValidationError("--top-k takes 0 or more")
    }
    if let logprobs, !(0...MessageLimits.alternativeCount).contains(logprobs) {
      throw ValidationError("--logprobs takes 0 to \(MessageLimits.alternativeCount)")
    }
  }

  func run() async throws {
    let folder = try annotate.map { try AnnotationFolder(path: $0) }
    let maskFolder = try masks.map { try MaskFolder(path: $0) }
    let (service, engine) = try await LocalModel.service(
      directory: model, stages: local.stages ?? 1, threads: local.threads,
      precision: local.precision, maskDecoder: local.maskDecoder)
    try await LocalModel.using(engine) {
      try await ask(service, folder: folder, maskFolder: maskFolder)
    }
  }

  private func ask(
    _ service: EngineAnswerService, folder: AnnotationFolder?, maskFolder: MaskFolder?
  ) async throws {
    let groups = together ? [image] : image.map { [$0] }
    var failureCount = 0
    for await (number, paths, outcome) in answers(to: groups, from: service) {
      do {
        let (answer, pictures) = try outcome.get()
        let file = URL(filePath: paths[0]).deletingPathExtension().lastPathComponent
        let name = groups.count == 1 ? file : "\(number + 1)-\(file)"
        if let folder, let first = pictures.first {
          let path = try folder.write(answer, on: first, prompt: prompt, name: name)
          Terminal.note("drawn: \(path)")
        }
        let maskFiles = try maskFolder?.write(answer, name: name) ?? []
        for path in maskFiles.compactMap({ $0 }) { Terminal.note("mask: \(path)") }
        try show(answer, paths: paths, isAlone: groups.count == 1, maskFiles: maskFiles)
      } catch {
        failureCount += 1
        if json, groups.count > 1 { try showFailure(error, paths: paths) }
        Terminal.note("palisade run: \(paths.joined(separator: ", ")): \(Self.text(error))")
      }
    }
    if failureCount > 0 { throw ExitCode(1) }
  }

  private typealias Outcome = Result<(Answer, [EncodedImage]), Failure>

  /// One outcome for each group of pictures, in order; up to 8 are under way at once.
  private func answers(
    to groups: [[String]], from service: EngineAnswerService
  ) -> AsyncStream<(Int, [String], Outcome)> {
    var sampling = Sampling(
      temperature: temperature, topK: topK, topP: topP, seed: seed, maximumTokens: maxTokens)
    sampling.wantsLogprobs = logprobs != nil
    sampling.logprobCount = logprobs ?? 0
    sampling.grammar = constrain ? PromptTask.grammar(of: prompt) : nil
    let (prompt, parameters) = (prompt, sampling)
    return AsyncStream { stream in
      let task = Task {
        await OrderedWindow(inFlight: 8, unfinished: 32).run(
          Array(groups.enumerated()),
          work: { number, paths -> (Int, [String], Outcome) in
            do throws(Failure) {
              var images: [EncodedImage] = []
              for path in paths { images.append(try EncodedImage(path: path)) }
              let request = AnswerRequest(images: images, prompt: prompt, sampling: parameters)
              return (number, paths, .success((try await service.answer(request), images)))
            } catch { return (number, paths, .failure(error)) }
          }, take: { stream.yield($0) })
        stream.finish()
      }
      stream.onTermination = { _ in task.cancel() }
    }
  }

  private func show(
    _ answer: Answer, paths: [String], isAlone: Bool, maskFiles: [String?]
  ) throws {
    if json {
      // With several pictures each line says which one it answers.
      let object = answer.json(
        hasLogprobs: logprobs != nil, image: isAlone ? nil : paths[0], maskFiles: maskFiles)
      return try Terminal.result(object.line)
    }
    let text = AnswerTable.summary(answer)
    try Terminal.result(isAlone ? text : "\(paths.joined(separator: ", ")): \(text)")
    if answer.finish == .length {
      Terminal.note("(the answer was cut at \(maxTokens) tokens; see --max-tokens)")
    }
    if answer.finish == .repetition {
      Terminal.note("(the answer went round in its boxes and was ended)")
    }
    // Quoted, because an answer must not steer a terminal.
    for part in answer.malformed {
      Terminal.note("(no box: \(part.reason): \(part.text.debugDescription))")
    }
    for token in answer.logprobs {
      let others = token.alternatives.map { Self.text($0.tokenID, $0.logprob) }
      try Terminal.result(
        "  \(Self.text(token.tokenID, token.logprob))"
          + (others.isEmpty ? "" : "   of " + others.joined(separator: ", ")))
    }
  }

  private func showFailure(_ error: any Error, paths: [String]) throws {
    let failure = (error as? Failure) ?? Failure(code: "internal", message: "\(error)")
    try Terminal.result(Answer.failureJSON(failure, image: paths[0]).line)
  }

  private static func text(_ id: Int32, _ logprob: Float) -> String {
    "\(id) (\(String(format: "%.4f", logprob)))"
  }

  private static func text(_ error: any Error) -> String {
    (error as? Failure).map { "\($0.code): \($0.message)" } ?? "\(error)"
  }
}
