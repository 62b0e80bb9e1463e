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
    let deadline = ContinuousClock.now + .seconds(wait)
    var status = try StatusClient.ask(coordinator, milliseconds: 2000)
    while status?.state != ClusterState.Phase.ready.rawValue, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(50))
      status = try StatusClient.ask(coordinator, milliseconds: 2000)
    }
    guard let status else {
      throw CommandFailure(
        "no coordinator answers at \(coordinator); start one with `palisade serve`")
    }
    Terminal.result("\(status.state): \(status.message)")
    for stage in status.stages {
      let busy = String(format: "%3.0f%%", stage.busyShare * 100)
      Terminal.result(
        "  \(stage.name.padding(toLength: 10, withPad: " ", startingAt: 0)) "
          + "blocks \(stage.blocks.lowerBound)–\(stage.blocks.upperBound - 1)  busy \(busy)  "
          + "\(stage.microBatches) micro-batches  \(stage.receivedBytes / 1000) kB in  "
          + "\(stage.sentBytes / 1000) kB out  \(stage.worker)")
    }
    if status.state != ClusterState.Phase.ready.rawValue { throw ExitCode(1) }
  }
}
