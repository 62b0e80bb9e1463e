import ArgumentParser
import Foundation
import Messaging
import Pipelining

/// `palisade cluster`: looks at a running cluster and changes it.
struct ClusterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster",
    abstract: "Show a running cluster's workers, let some go, or use more of them.",
    discussion: """
      palisade cluster status            its state, its stages and all workers, spares included
      palisade cluster drain NODE        do without a worker (or a machine's workers) and let it go
      palisade cluster scale +1          plan for one worker more; spares are taken in at once

      Workers may join at any time: `palisade worker --coordinator ENDPOINT`. With keys these orders
      need the key of a client; a worker's is refused.
      """,
    subcommands: [Status.self, Drain.self, Scale.self])

  /// Where the coordinator is, and who asks.
  struct Line: ParsableArguments {
    @Option(help: "Where the coordinator listens.")
    var coordinator: String = ServeCommand.defaultEndpoint
    @OptionGroup var link: LinkOptions

    /// Orders something, and says what became of it.
    ///
    /// - Throws: when nobody answers, or the order is refused.
    func order(_ order: ClusterOrder) throws {
      let client = try StatusClient(coordinator, links: link.links(.client))
      let answer = try client.order(order, milliseconds: ClusterReadiness.answerMilliseconds)
      guard let answer else { throw ClusterReadiness.nobody(coordinator, try link.links(.client)) }
      let text = StatusText.plain(answer.text)
      guard answer.isDone else { throw CommandFailure(text) }
      Terminal.note("cluster: \(text)")
    }

    /// Asks until `isReached`.
    ///
    /// - Throws: when it isn't within `seconds`.
    func wait(
      seconds: Int, for what: String, _ isReached: (Messaging.Status) -> Bool
    ) async throws {
      let deadline = ContinuousClock.now + .seconds(seconds)
      let links = try link.links(.client)
      var message = "nobody answers"
      repeat {
        let status = try StatusClient.ask(
          coordinator, links: links, milliseconds: ClusterReadiness.answerMilliseconds)
        if let status {
          if isReached(status) { return }
          message = StatusText.plain("\(status.state), \(status.message)")
        }
        try await Task.sleep(for: .milliseconds(50))
      } while ContinuousClock.now < deadline
      throw CommandFailure("\(what) within \(seconds) s: the cluster is \(message)")
    }
  }

  struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the cluster's state, its stages and all its workers.",
      discussion: "Exit code 0 when the cluster is ready, 1 when it is not.")
    @OptionGroup var line: Line
    @Option(help: "Seconds to wait until the cluster is ready.")
    var wait: Int = 0
    @Flag(help: "Print everything as one JSON object.")
    var json = false

    func run() async throws {
      let status = try await ClusterReadiness.status(
        line.coordinator, links: line.link.links(.client), seconds: wait)
      let text = StatusText(status)
      try Terminal.result(
        json
          ? StatusDocument(status).text
          : (text.lines + text.nodes).joined(separator: "\n"))
      if status.state != ClusterState.Phase.ready.rawValue { throw ExitCode(1) }
    }
  }

  struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Do without a worker, or a machine's workers, and let them go.",
      discussion: """
        A plan without them is made at once; what they had under way is computed anew by the others,
        so no request is lost. Their processes end with exit code 0. Refused, with the figures, when
        the others can't run the model. Returns when they are gone and the cluster is ready.
        """)
    @Argument(help: "A worker's name, else a machine's; `palisade cluster status` lists both.")
    var node: String
    @OptionGroup var line: Line
    @Option(help: "Seconds to wait until they are gone.")
    var wait: Int = 120

    func run() async throws {
      try line.order(.drain(node: node))
      // A worker of the same name that comes meanwhile is another one, and stays. A cluster that
      // gathers was not ready before either.
      let ends = [ClusterState.Phase.ready, .gathering].map(\.rawValue)
      try await line.wait(seconds: wait, for: "'\(node)' is not empty") { status in
        ends.contains(status.state) && !status.nodes.contains { $0.state == .leaving }
      }
      try Terminal.result("\(node) is empty")
    }
  }

  struct Scale: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say how many workers the plan should use: 5, +2 or -1.",
      discussion: """
        The model is cut anew for so many (vision replicas and shards by the model's operations) and
        spares are taken in at once. Where workers are missing the plan stays as it is until they have
        come; a launcher reads how many are wanted from `palisade cluster status --json`
        (wantedWorkers). Workers that a smaller plan doesn't use stay as spares; `drain` lets them go.
        """)
    @Argument(parsing: .allUnrecognized, help: "How many workers: 5, +2 or -1.")
    var amount: [String]
    @OptionGroup var line: Line
    @Option(help: "Seconds to wait until the plan uses so many; 0 doesn't wait.")
    var wait: Int = 0

    func validate() throws {
      guard amount.count == 1, WorkerAmount(amount[0]) != nil else {
        throw ValidationError("scale takes one number: 5, +2 or -1")
      }
    }

    func run() async throws {
      let count = try await count()
      try line.order(.scale(workerCount: count))
      if wait > 0 {
        try await line.wait(seconds: wait, for: "the plan doesn't use \(count) workers") {
          $0.state == ClusterState.Phase.ready.rawValue
            && $0.nodes.filter { $0.state == .working }.count == count
        }
      }
      try Terminal.result("\(count)")
    }

    /// What is ordered is a number, so that an order that is heard twice changes nothing.
    private func count() async throws -> Int {
      let amount = WorkerAmount(amount[0])
      var wanted = 0
      if amount?.isRelative ?? false {
        wanted = try await ClusterReadiness.status(
          line.coordinator, links: line.link.links(.client), seconds: 0
        ).wantedWorkerCount
      }
      guard let count = amount?.count(from: wanted) else {
        throw CommandFailure(
          "\(self.amount[0])\(wanted > 0 ? " of \(wanted)" : "") is no number of workers from 1 to "
            + "\(MessageLimits.nodeCount)")
      }
      return count
    }
  }
}

/// How many workers somebody wants: `5`, or two more than now, `+2`, or one fewer, `-1`.
struct WorkerAmount: Equatable {
  let isRelative: Bool
  private let number: Int

  /// Reads it; nil when it is none of these.
  init?(_ text: String) {
    isRelative = text.hasPrefix("+") || text.hasPrefix("-")
    let digits = text.drop { "+-".contains($0) }
    guard (1...6).contains(digits.utf8.count), digits.utf8.count >= text.utf8.count - 1,
      digits.allSatisfy({ ("0"..."9").contains($0) }), let number = Int(text)
    else { return nil }
    self.number = number
  }

  /// The number, where `wanted` are wanted now; nil when it is none that a cluster can have.
  func count(from wanted: Int) -> Int? {
    let count = isRelative ? wanted + number : number
    return (1...MessageLimits.nodeCount).contains(count) ? count : nil
  }
}
