import ArgumentParser
import Foundation
import Messaging
import Pipelining

/// `palisade status`: how a cluster is.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show a cluster's state and how busy each stage is.",
    discussion: "Exit code 0 when the cluster is ready, 1 when it is not.")

  @Option(help: "Where the coordinator listens.")
  var coordinator: String = ServeCommand.defaultEndpoint
  @Option(help: "Seconds to wait until the cluster is ready.")
  var wait: Int = 0
  @Flag(help: "Print everything as one JSON object.")
  var json = false
  @OptionGroup var link: LinkOptions

  func run() async throws {
    let status = try await ClusterReadiness.status(
      coordinator, links: link.links(.client), seconds: wait)
    if json {
      try Terminal.result(try StatusDocument(status).text)
    } else {
      try Terminal.result(StatusText(status).lines.joined(separator: "\n"))
    }
    if status.state != ClusterState.Phase.ready.rawValue { throw ExitCode(1) }
  }
}

/// A status for people, as `palisade status` and `palisade top` show it.
struct StatusText {
  let status: Status

  init(_ status: Status) { self.status = status }

  /// All lines.
  var lines: [String] {
    [Self.plain("\(status.state): \(status.message)")]
      + (status.stages.isEmpty ? [] : service + table + bottleneck + prediction) + spares
  }

  /// Requests, rates and latencies.
  var service: [String] {
    let service = status.service
    let model = status.model.map {
      ["  model \(Self.plain($0.fingerprint)) in \(Self.plain($0.precision))"]
    }
    let counts =
      "  requests: \(service.inFlight) in flight, \(service.waiting) waiting, "
      + "\(Readable.count(Int(clamping: service.succeeded))) answered, "
      + "\(Readable.count(Int(clamping: service.failed))) failed; "
      + "\(Readable.count(Int(clamping: service.tokens))) tokens"
    let rates =
      "  last seconds: \(Readable.fixed(service.imagesPerSecond, places: 1)) images/s, "
      + "\(Readable.fixed(service.tokensPerSecond, places: 1)) tokens/s"
    guard service.answer.count > 0 else { return (model ?? []) + [counts, rates] }
    return (model ?? []) + [
      counts, rates,
      "  last minute: answer \(Self.latency(service.answer)), "
        + "first token \(Self.latency(service.firstToken))",
    ]
  }

  /// A line per worker of the plan.
  var table: [String] {
    var table = TextTable(
      [
        "  stage", "blocks", "busy", "bubble", "queue", "batches", "weights", "KV", "RAM", "in/s",
        "out/s", "worker",
      ], rightAligned: [2, 3, 4, 5, 6, 7, 8, 9, 10])
    for stage in status.stages {
      let gauges = stage.gauges
      table.add([
        "  " + Self.plain(stage.name),
        "blocks \(stage.blocks.lowerBound)–\(stage.blocks.upperBound - 1)",
        "\(Self.percent(stage.recentBusyShare)) (all \(Self.percent(stage.busyShare)))",
        Self.percent(stage.bubbleShare), "\(gauges.queueLength + gauges.waitingTokens)",
        Readable.count(Int(clamping: stage.counters.microBatches)),
        Readable.bytes(gauges.weightBytes), Readable.bytes(gauges.cacheBytes),
        Readable.bytes(gauges.residentBytes), Self.bytes(stage.receivedBytesPerSecond),
        Self.bytes(stage.sentBytesPerSecond), Self.plain("\(stage.node) \(stage.worker)"),
      ])
    }
    return table.text.split(separator: "\n").map(String.init)
  }

  /// A line per worker, spares included, and how many the plan should use.
  var nodes: [String] {
    var table = TextTable(
      ["  worker", "node", "state", "stage", "threads", "memory"], rightAligned: [4, 5])
    for node in status.nodes {
      table.add([
        "  " + Self.plain(node.worker), Self.plain(node.node), node.state.rawValue,
        node.stage.isEmpty ? "-" : Self.plain(node.stage), "\(node.threads)",
        Readable.bytes(node.memoryBytes),
      ])
    }
    let used = status.nodes.filter { $0.state == .working }.count
    return ["  workers: \(used) in the plan, \(status.wantedWorkerCount) wanted"]
      + table.text.split(separator: "\n").map(String.init)
  }

  /// Which stage sets the pace.
  var bottleneck: [String] {
    if status.bottleneck.isEmpty { return ["  nothing was computed in the last seconds"] }
    return ["  bottleneck: \(Self.plain(status.bottleneck))"]
  }

  /// What the plan should do, beside what it does.
  var prediction: [String] {
    let predicted = status.predictedImagesPerSecond
    guard predicted > 0 else { return [] }
    let measured = status.service.imagesPerSecond
    let share = Self.percent(measured / predicted)
    return [
      "  predicted at full load: \(Readable.fixed(predicted, places: 2)) images/s, "
        + "bottleneck \(Self.plain(status.predictedBottleneck)); measured in the last seconds: "
        + "\(Readable.fixed(measured, places: 2)) (\(share))"
    ]
  }

  /// Workers without a stage.
  var spares: [String] {
    status.nodes.filter { !$0.note.isEmpty }.map {
      "  worker \(Self.plain($0.worker)) on \(Self.plain($0.node)) \(Self.plain($0.note))"
    }
  }

  static func percent(_ share: Double) -> String {
    "\(Readable.fixed(min(1, share) * 100, places: 0)) %"
  }

  static func bytes(_ perSecond: Double) -> String {
    Readable.bytes(Int(min(max(0, perSecond), 1e15)))
  }

  private static func latency(_ latency: Latency) -> String {
    "p50 \(milliseconds(latency.p50Milliseconds)), p95 \(milliseconds(latency.p95Milliseconds)), "
      + "p99 \(milliseconds(latency.p99Milliseconds))"
  }

  static func milliseconds(_ value: Double) -> String {
    value < 1000
      ? "\(Readable.fixed(value, places: 0)) ms" : "\(Readable.fixed(value / 1000, places: 1)) s"
  }

  /// Names come from other machines: nothing in them may steer the terminal.
  static func plain(_ text: String) -> String { plain(text, mark: " ") }

  /// The same with a mark in the place of each control character.
  static func plain(_ text: String, mark: Unicode.Scalar) -> String {
    String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? mark : $0 })
  }
}

extension String {
  fileprivate init(_ scalars: [Unicode.Scalar]) {
    self.init(String.UnicodeScalarView(scalars))
  }
}

/// Waiting for a cluster to become ready, and saying so.
enum ClusterReadiness {
  /// How long a coordinator may take to answer one question.
  static let answerMilliseconds = 2000

  /// Asks until the cluster is ready or the time is up, and tells of the waiting every few seconds.
  ///
  /// - Returns: the last answer.
  /// - Throws: when no coordinator answers at all.
  static func status(
    _ endpoint: String, links: Links = .local, seconds: Int
  ) async throws -> Status {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var nextNote = ContinuousClock.now + .seconds(1)
    var status = try StatusClient.ask(endpoint, links: links, milliseconds: answerMilliseconds)
    while status?.state != ClusterState.Phase.ready.rawValue, ContinuousClock.now < deadline {
      if ContinuousClock.now >= nextNote {
        nextNote = ContinuousClock.now + .seconds(10)
        Terminal.note("waiting for \(endpoint): \(status.map(text) ?? "no coordinator answers")")
      }
      try await Task.sleep(for: .milliseconds(50))
      status = try StatusClient.ask(endpoint, links: links, milliseconds: answerMilliseconds)
    }
    guard let status else { throw nobody(endpoint, links) }
    return status
  }

  /// Why there is no answer.
  static func nobody(_ endpoint: String, _ links: Links) -> CommandFailure {
    let advice = ConnectionTrial.advice(endpoint, options: links.toCoordinator(SocketOptions()))
    return CommandFailure("no coordinator answers at \(endpoint); \(advice)")
  }

  /// Waits until the cluster is ready.
  ///
  /// - Returns: its state.
  /// - Throws: when it isn't within `seconds`, with what is missing.
  @discardableResult
  static func wait(
    _ endpoint: String, links: Links = .local, seconds: Int
  ) async throws -> Status {
    let status = try await status(endpoint, links: links, seconds: seconds)
    guard status.state == ClusterState.Phase.ready.rawValue else {
      throw CommandFailure(
        "the cluster at \(endpoint) is not ready: \(text(status)); start what is missing with "
          + "`palisade worker --coordinator \(endpoint)`, or wait longer with --wait SECONDS")
    }
    return status
  }

  private static func text(_ status: Status) -> String { "\(status.state), \(status.message)" }
}
