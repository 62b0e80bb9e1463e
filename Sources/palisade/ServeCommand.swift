import ArgumentParser
import Checkpoints
import Foundation
import HTTPAPI
import Jobs
import Messaging
import PaliGemma
import Pipelining
import Tensors
import Tokenization

/// `palisade serve`: the coordinator of a cluster.
struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Coordinate a cluster: give workers their stages and answer clients.",
    discussion: """
      Waits for workers (`palisade worker --coordinator ENDPOINT`), cuts the model into a vision
      stage and shards of decoder layers of about equal cost (or as --cluster FILE says), and is
      ready when a token has gone through all stages. Clients: `palisade batch --coordinator …`, and
      with --http everything that speaks OpenAI's interface (chat and text completions, streams,
      files, batches). With --workers 0 the model runs in this process, for one machine:

        palisade serve --model DIR --workers 0 --http 127.0.0.1:8080
      """)

  @Option(help: "The model's folder, in the Hugging Face layout.")
  var model: String?
  @Option(help: "A cluster file (see cluster/README.md); other options override it.")
  var cluster: String?
  @Option(
    help: """
      Workers to wait for: vision replicas + decoder shards, e.g. 1+2; auto or auto:N for a plan from \
      what the workers measure, over all that come, begun when N (1) have come; 0 for none.
      """)
  var workers: String?
  @Option(help: "Where to listen for workers and clients; port * is a free one.")
  var endpoint: String?
  @Option(help: "Where to take results of the last stage (default: a free port beside --endpoint).")
  var results: String?
  @Option(help: "Where to give weights to workers without files (default: as for --results).")
  var weights: String?
  @Option(
    help: ArgumentHelp(
      "How workers reach this machine for results and weights, behind NAT or a proxy.",
      discussion:
        "A host, at the ports of --results and --weights (fix them, to forward them), or "
        + "tcp://HOST:PORT, which leads to --results alone. Without it, workers use the address at which "
        + "they reach the coordinator."))
  var advertise: String?
  @Option(help: "Write the endpoint, with the real port, to this file once listening.")
  var endpointFile: String?
  @Option(help: "Precision of the arithmetic (default: the cluster file's, else the checkpoint's).")
  var precision: Precision?
  @Option(
    help: ArgumentHelp(
      "How rows travel from stage to stage: f32, bf16 or int8 (default: the cluster file's, else f32).",
      discussion:
        "f32 is exact. bf16 and int8 take half and a quarter of the bytes, and answers may differ "
        + "from f32's, and from one cut of the model to another."))
  var wire: TensorEncoding?
  @Option(help: "big_vision's vae-oid.npz: makes masks of <seg> tokens, else they stay code words.")
  var maskDecoder: String?
  @Option(help: "Threads for the arithmetic with --workers 0 (default: all cores).")
  var threads: Int?
  @Option(help: "Seconds that requests wait for a cluster without enough workers, then they fail.")
  var outage: Int = Limits().outageMilliseconds / 1000
  @OptionGroup var http: HTTPOptions
  @OptionGroup var link: LinkOptions

  static let defaultEndpoint = "tcp://127.0.0.1:7400"

  func validate() throws {
    if let workers, workers != "0", Self.counts(workers) == nil,
      ClusterFile.automatic(workers) == nil
    {
      throw ValidationError(
        "--workers takes VISION+SHARDS, e.g. 1+2, auto, auto:N, or 0, not '\(workers)'")
    }
    if workers == "0" {
      guard http.http != nil else { throw ValidationError("--workers 0 needs --http ADDRESS") }
      guard endpoint == nil, endpointFile == nil, cluster == nil, link.keys == nil, link.key == nil,
        wire == nil, results == nil, weights == nil, advertise == nil
      else {
        throw ValidationError(
          "--workers 0 has no cluster; leave --endpoint, --results, --weights, --advertise, --cluster, "
            + "--wire and --keys out")
      }
    }
    guard (0...86_400).contains(outage) else {
      throw ValidationError("--outage takes 0 to 86400 seconds")
    }
    if let advertise, !Endpoints.isComplete(advertise), !Endpoints.isHost(advertise) {
      throw ValidationError("--advertise takes a host or tcp://HOST:PORT, not '\(advertise)'")
    }
    if advertise != nil,
      let there = [endpoint, results].compactMap({ $0 }).first(where: { !$0.hasPrefix("tcp://") })
    {
      throw ValidationError("--advertise goes with tcp:// endpoints, not with '\(there)'")
    }
    if let threads, !(1...64).contains(threads) || workers != "0" {
      throw ValidationError("--threads takes 1 to 64, and goes with --workers 0")
    }
    if model == nil && cluster == nil {
      throw ValidationError("give --model DIR, or --cluster FILE with a `model:` in it")
    }
  }

  func run() async throws {
    HeapPolicy.shareHeaps()
    let stopped = AsyncStream<Int32>.makeStream(bufferingPolicy: .bufferingNewest(1))
    Interruption.install { stopped.continuation.yield($0) }
    if workers == "0", let model { return try await serveAlone(model, stopped.stream) }
    let file = try cluster.map { try ClusterFile(path: $0) }
    guard let directory = model ?? file?.model else {
      throw CommandFailure("\(cluster ?? "") has no `model:`; add it, or give --model DIR")
    }
    try LocalModel.checkFolder(directory)
    let absolute = URL(filePath: directory).standardizedFileURL.path()
    let config = try ModelConfig(directory: absolute)
    let tokenizer = try Tokenizer(folder: URL(filePath: absolute))
    let decoder = try maskDecoder.map { try MaskDecoder(path: $0) }
    // Before workers come and fail one by one: are all weights there, and do they fit?
    let checkpoint = try Checkpoint(directory: absolute)
    let report = CheckpointReport(config: config, checkpoint: checkpoint)
    guard report.isSound else {
      throw CommandFailure(
        "the weights in \(absolute) don't fit its config.json; "
          + "`palisade checkpoint inspect \(absolute)` says which")
    }
    var limits = Limits()
    limits.outageMilliseconds = outage * 1000
    // Before anything starts: a key file that others may read, say.
    let configuration = try http.configuration(insecure: link.insecure)
    var cluster = Coordinator.Configuration(
      endpoint: endpoint ?? file?.coordinator ?? Self.defaultEndpoint,
      template: try template(file, config: config), modelDirectory: absolute,
      precision: try LocalModel.precision(precision ?? file?.precision, of: checkpoint),
      limits: limits)
    // Whoever says what the stages are, here or in the file, is obeyed.
    if let minimum = (workers ?? file?.workers).flatMap(ClusterFile.automatic) {
      cluster.planning = .measured(minimum: minimum)
    }
    try reach(&cluster)
    cluster.encoding = wire ?? file?.wire ?? .exact
    cluster.model = try LocalModel.identity(
      directory: absolute, precision: cluster.precision, maskDecoder: maskDecoder,
      encoding: cluster.encoding)
    let coordinator = try await Coordinator.start(cluster, config: config)
    if let endpointFile {
      // Written whole or not at all: somebody may be watching for it.
      do {
        try Data((coordinator.endpoint + "\n").utf8).write(
          to: URL(filePath: endpointFile), options: .atomic)
      } catch {
        throw CommandFailure("cannot write \(endpointFile); check its folder and permissions")
      }
    }
    let answers = EngineAnswerService(
      engine: coordinator, tokenizer: tokenizer, maskDecoder: decoder)
    let server = try http.server(
      configuration,
      service: EngineAnswerService(
        engine: coordinator, tokenizer: tokenizer, imageLimits: http.imageLimits,
        maskDecoder: decoder),
      tokenizer: tokenizer, telemetry: coordinator.telemetry)
    try await serve(coordinator, answers, server, limits, stopped.stream)
  }

  /// How others come to this process.
  private func reach(_ cluster: inout Coordinator.Configuration) throws {
    (cluster.resultsEndpoint, cluster.weightsEndpoint) = (results, weights)
    cluster.advertised = advertise
    cluster.links = try link.links(.coordinator)
  }

  /// Everything that goes on until somebody says stop.
  private func serve(
    _ coordinator: Coordinator, _ answers: EngineAnswerService, _ server: HTTPServer?,
    _ limits: Limits, _ stopped: AsyncStream<Int32>
  ) async throws {
    let service = ClientService(
      coordinator: coordinator, service: answers,
      requestCountMaximum: limits.requestsInFlightMaximum + limits.requestsWaiting)
    // Ends with the coordinator's thread, after its last word to the workers; nothing cancels it.
    let reports = Task {
      for await report in coordinator.reports { Terminal.note("serve: \(Self.text(report))") }
    }
    let ended = await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await service.run() }
      group.addTask { try await waitForStop(server, stopped) }
      // The coordinator ends first by itself only when its sockets fail; either way all end.
      let first = await group.nextResult()
      coordinator.stop()
      group.cancelAll()
      return first
    }
    Terminal.note("serve: stopping; workers are told to end")
    await reports.value
    try ended?.get()
  }

  /// Serves the whole model in this process.
  private func serveAlone(_ directory: String, _ stopped: AsyncStream<Int32>) async throws {
    let configuration = try http.configuration(insecure: link.insecure)
    let decoder = try maskDecoder.map { try MaskDecoder(path: $0) }
    let (engine, tokenizer) = try await LocalModel.load(
      directory: directory, stages: 1, threads: threads, precision: precision)
    engine.telemetry.serves(
      try LocalModel.identity(
        directory: directory, precision: precision, maskDecoder: maskDecoder))
    let server = try http.server(
      configuration,
      service: EngineAnswerService(
        engine: engine, tokenizer: tokenizer, imageLimits: http.imageLimits,
        maskDecoder: decoder),
      tokenizer: tokenizer, telemetry: engine.telemetry)
    try await LocalModel.using(engine) { try await waitForStop(server, stopped) }
    Terminal.note("serve: stopping")
  }

  /// Returns when somebody says stop, and HTTP's requests under way have had their time.
  private func waitForStop(_ server: HTTPServer?, _ stopped: AsyncStream<Int32>) async throws {
    guard let server else {
      for await _ in stopped { return }
      return
    }
    try await server.run {
      for await _ in stopped { return }
    } onListening: { port in
      http.announce(port: port)
    }
  }

  private func template(_ file: ClusterFile?, config: ModelConfig) throws -> ClusterTemplate {
    if let counts = workers.flatMap(Self.counts) {
      return try .even(visionCount: counts.vision, shardCount: counts.shards, config: config)
    }
    return try file?.template(config: config)
      ?? .even(visionCount: 1, shardCount: 2, config: config)
  }

  /// `1+2` to one vision worker and two shards; `3` means the same.
  static func counts(_ text: String) -> (vision: Int, shards: Int)? {
    let parts = text.split(separator: "+", omittingEmptySubsequences: false).map { Int($0) }
    if parts.count == 1, let all = parts[0], all >= 2 { return (1, all - 1) }
    guard parts.count == 2, let vision = parts[0], let shards = parts[1], vision >= 1, shards >= 1
    else { return nil }
    return (vision, shards)
  }

  private static func text(_ report: CoordinatorReport) -> String {
    switch report {
    case .listening(let endpoint): "listening at \(endpoint)"
    case .advertised(let bound, let told): "takes results at \(bound); workers are told \(told)"
    case .workerJoined(let name, let endpoint): "worker \(name) joined (\(endpoint))"
    case .workerLost(let name, let reason): "worker \(name) \(reason)"
    case .shared(let blocks, let bytes):
      "gives blocks \(blocks.lowerBound)–\(blocks.upperBound - 1) (\(bytes / 1_000_000) MB) to a worker "
        + "without the model's files"
    case .loaded(let name, let bytes, let milliseconds):
      "worker \(name) has its weights: \(Readable.bytes(bytes)) in \(milliseconds) ms"
    case .assigned(let epoch, let stages):
      "plan \(epoch):" + stages.map { "\n  " + $0 }.joined()
    case .ready(let epoch): "ready (plan \(epoch)): a token has gone through all stages"
    case .gate(let report): LinkOptions.text(report)
    case .workerSlow(let name, let how):
      "worker \(name) is slow: \(how); start another to take its place"
    case .workerWeighed(let name, let what): "worker \(name) \(what)"
    case .stalled(let milliseconds):
      "nothing moved for \(milliseconds) ms: a message was lost; the plan begins anew"
    case .advice(let text): text
    case .ordered(.drain(let node), let who): "\(who) drains \(StatusText.plain(node))"
    case .ordered(.scale(let count), let who): "\(who) wants \(count) workers"
    case .dropped(let what): "dropped \(what)"
    }
  }
}
