import ArgumentParser
import Foundation
import Messaging
import Pipelining
import Tensors

/// `palisade worker`: runs the stage that a coordinator gives it.
struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker",
    abstract: "Run one stage of a cluster.",
    discussion: """
      Connects to a coordinator (`palisade serve`), takes the stage it is given, maps that stage's
      weights and no others, and works until Ctrl-C or the coordinator's end. Where the model's files
      are not on this machine, the weights come from workers that have them and from the coordinator,
      and stay in a cache.
      """)

  @Option(help: "Where the coordinator listens, e.g. tcp://127.0.0.1:7400 or ipc:///tmp/palisade.")
  var coordinator: String
  @Option(help: "A name for logs and for the `workers:` lists of cluster files.")
  var name: String =
    "\(ProcessInfo.processInfo.hostName)-\(ProcessInfo.processInfo.processIdentifier)"
  @Option(help: "Where to take micro-batches (default: a free port, on the coordinator's side).")
  var data: String?
  @Option(help: "Where others reach --data, e.g. tcp://gpu7.example:7500, behind NAT or a proxy.")
  var advertise: String?
  @Option(help: "Where to give weights to other workers (default: a free port beside --data).")
  var weights: String?
  @Option(
    help:
      "Where others reach --weights; a worker with --advertise and without this gives none.")
  var advertiseWeights: String?
  @Option(help: "The model's folder on this machine (default: the path the coordinator names).")
  var model: String?
  @Option(
    help: ArgumentHelp(
      "Keep tensors that come from the coordinator in this folder, and have all from there.",
      discussion:
        "Without it and without --model: only where the coordinator's path is not on this "
        + "machine, in \(ModelCache().directory).", valueName: "dir"))
  var cache: String?
  @Option(help: "How large that folder may become, e.g. 20GB or 500MB.")
  var cacheLimit: String = "20GB"
  @Option(help: "Threads for the arithmetic.")
  var threads: Int = ProcessInfo.processInfo.activeProcessorCount
  @Option(help: "Megabytes for rows of pictures seen before, in a stage with the vision tower.")
  var visionCache: Int = Limits().visionCacheByteCount >> 20
  @Option(help: "Seconds to wait for a coordinator that isn't there yet, or not any more.")
  var wait: Int = 60
  @Flag(help: "Measure anew how fast this machine is; else a file of the last week is believed.")
  var measureAgain = false
  @Flag(help: ArgumentHelp("Make the weights up: for `bench pipeline`.", visibility: .hidden))
  var madeUpWeights = false
  @OptionGroup var link: LinkOptions

  func validate() throws {
    guard model == nil || cache == nil else {
      throw ValidationError("give --model DIR or --cache DIR, not both")
    }
    guard Self.byteCount(cacheLimit) != nil else {
      throw ValidationError("--cache-limit takes a number and MB, GB or TB, e.g. 20GB")
    }
    guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
    guard (0...1 << 20).contains(visionCache) else {
      throw ValidationError("--vision-cache takes 0 to \(1 << 20) megabytes")
    }
    for (name, value) in [("advertise", advertise), ("advertise-weights", advertiseWeights)] {
      if let value, !Endpoints.isComplete(value) {
        throw ValidationError("--\(name) takes tcp://HOST:PORT, not '\(value)'")
      }
    }
    guard (1...86400).contains(wait) else { throw ValidationError("--wait takes 1 to 86400") }
  }

  func run() throws {
    let stop = StopBox()
    Interruption.install { _ in stop.stop() }
    Kernels.threadCount = threads
    var configuration = WorkerConfiguration(
      coordinatorEndpoint: coordinator, dataEndpoint: data, name: name, modelDirectory: model,
      threadCount: threads, patienceMilliseconds: wait * 1000, softwareVersion: Palisade.version)
    configuration.isMeasuredAnew = measureAgain
    configuration.makesWeightsUp = madeUpWeights
    configuration.advertisedEndpoint = advertise
    configuration.weightsEndpoint = weights
    configuration.advertisedWeights = advertiseWeights
    configuration.links = try link.links(.worker)
    configuration.cache = ModelCache(
      directory: cache, byteCountMaximum: Self.byteCount(cacheLimit) ?? 0,
      isPreferred: cache != nil)
    configuration.limits.visionCacheByteCount = visionCache << 20
    let worker = try Worker(configuration) { Terminal.note("worker \(name): \(Self.text($0))") }
    stop.set(worker.stopHandle)
    try worker.run()
  }

  /// `20GB` as bytes, powers of ten; nil for anything else.
  static func byteCount(_ text: String) -> Int? {
    let units = ["MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000]
    guard let unit = units[text.suffix(2).uppercased()], let number = Int(text.dropLast(2)),
      (1...1_000_000).contains(number)
    else { return nil }
    return number * unit
  }

  private static func text(_ report: WorkerReport) -> String {
    switch report {
    case .listening(let endpoint): "takes micro-batches at \(endpoint)"
    case .welcomed(let index): "taken in as worker \(index)"
    case .measured(let speed, let milliseconds):
      "knows its speed (\(milliseconds) ms): \(PlanText.speed(speed))"
    case .ready(let stage, let blocks, let bytes, let milliseconds, let areKept):
      "ready: stage \(stage), blocks \(blocks.lowerBound)–\(blocks.upperBound - 1), "
        + "\(bytes / 1_000_000) MB of weights \(areKept ? "kept" : "loaded") in \(milliseconds) ms"
    case .fetching(let bytes, let cached, let directory):
      "has no files of the model: \(bytes) bytes of weights, \(cached) of them in \(directory), the "
        + "rest from the coordinator"
    case .fetched(let bytes, let fromWorkers, let milliseconds):
      "has its weights: \(bytes) bytes came in \(milliseconds) ms, \(fromWorkers) of them from other "
        + "workers"
    case .gate(let report): LinkOptions.text(report)
    case .reset: "the plan has ended; waiting for another"
    case .away(let milliseconds):
      "the coordinator has said nothing for \(milliseconds) ms; waiting for it with the weights kept"
    case .back: "the coordinator is heard again"
    case .trouble(let text): text
    case .told(let reason): "told to end: \(reason)"
    }
  }
}
