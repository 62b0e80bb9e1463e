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

  func run() async throws {
    let status = try await ClusterReadiness.status(coordinator, seconds: wait)
    try Terminal.result("\(status.state): \(status.message)")
    for stage in status.stages {
      let busy = String(format: "%3.0f%%", stage.busyShare * 100)
      try Terminal.result(
        "  \(stage.name.padding(toLength: 10, withPad: " ", startingAt: 0)) "
          + "blocks \(stage.blocks.lowerBound)–\(stage.blocks.upperBound - 1)  busy \(busy)  "
          + "\(stage.microBatches) micro-batches  \(stage.receivedBytes / 1000) kB in  "
          + "\(stage.sentBytes / 1000) kB out  \(stage.worker)")
    }
    if status.state != ClusterState.Phase.ready.rawValue { throw ExitCode(1) }
  }
}

/// Waiting for a cluster to become ready, and saying so.
enum ClusterReadiness {
  /// How long a coordinator may take to answer one question.
  private static let answerMilliseconds = 2000

  /// Asks until the cluster is ready or the time is up, and tells of the waiting every few seconds.
  ///
  /// - Returns: the last answer.
  /// - Throws: when no coordinator answers at all.
  static func status(_ endpoint: String, seconds: Int) async throws -> Status {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var nextNote = ContinuousClock.now + .seconds(1)
    var status = try StatusClient.ask(endpoint, milliseconds: answerMilliseconds)
    while status?.state != ClusterState.Phase.ready.rawValue, ContinuousClock.now < deadline {
      if ContinuousClock.now >= nextNote {
        nextNote = ContinuousClock.now + .seconds(10)
        Terminal.note("waiting for \(endpoint): \(status.map(text) ?? "no coordinator answers")")
      }
      try await Task.sleep(for: .milliseconds(50))
      status = try StatusClient.ask(endpoint, milliseconds: answerMilliseconds)
    }
    guard let status else {
      throw CommandFailure(
        "no coordinator answers at \(endpoint); start one with `palisade serve`")
    }
    return status
  }

  /// Waits until the cluster is ready.
  ///
  /// - Throws: when it isn't within `seconds`, with what is missing.
  static func wait(_ endpoint: String, seconds: Int) async throws {
    let status = try await status(endpoint, seconds: seconds)
    guard status.state == ClusterState.Phase.ready.rawValue else {
      throw CommandFailure(
        "the cluster at \(endpoint) is not ready: \(text(status)); start what is missing with "
          + "`palisade worker --coordinator \(endpoint)`, or wait longer with --wait SECONDS")
    }
  }

  private static func text(_ status: Status) -> String { "\(status.state), \(status.message)" }
}
