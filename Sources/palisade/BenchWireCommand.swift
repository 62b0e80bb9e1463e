import ArgumentParser
import Foundation
import Messaging

/// `palisade bench wire`: what a message from stage to stage costs.
struct BenchWireCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wire",
    abstract: "Measure messages from stage to stage beside plain copies through sockets.",
    discussion: """
      Micro-batches with a tensor of 1 MiB (128 rows of the 3B) and of 8 KiB (one row) are encoded, sent, \
      received, checked and decoded, over tcp://127.0.0.1 and over ipc, in each encoding and with keys; \
      'socket' is the same number of bytes through a plain socket of that kind, in the same minute. MB/s \
      counts the tensor's bytes in f32, whatever travels. One way is half of there and back, the median; \
      CPU is that of both ends, ZeroMQ's threads included. 'x' is the time by the plain copy's.
      """)

  @Option(help: "Rounds over all kinds, of which medians are told.") var rounds = 3
  @Option(help: "Megabytes that each stream carries.") var megabytes = 64
  @Option(help: "Messages there and back for each latency.") var exchanges = 100
  @OptionGroup var output: BenchOutputOptions

  func validate() throws {
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds takes 1 to 100") }
    guard (1...4096).contains(megabytes) else {
      throw ValidationError("--megabytes takes 1 to 4096")
    }
    guard (1...100_000).contains(exchanges) else {
      throw ValidationError("--exchanges takes 1 to 100000")
    }
  }

  func run() async throws {
    let (rounds, megabytes, exchanges) = (rounds, megabytes, exchanges)
    let report = try await BenchRun.interruptible {
      let folder = FileManager.default.temporaryDirectory.appending(
        path: "palisade-wire-\(UUID().uuidString.prefix(8))", directoryHint: .isDirectory)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      var report = BenchWireReport(head: BenchHead("wire", model: nil, threads: 1))
      for round in 0..<rounds {
        Terminal.note("bench: round \(round + 1) of \(rounds) …")
        for kind in BenchWireKind.all {
          try Task.checkCancellation()
          let count = max(4, megabytes * 1_000_000 / kind.byteCount)
          let load = BenchWireLoad(
            kind: kind, streamed: kind.isPlain ? count : min(count, 20_000), exchanges: exchanges)
          report.add(kind, try load.run(in: folder))
        }
      }
      return report
    }
    try output.tell(json: try report.json, table: report.table)
  }
}

/// One way of sending one size.
struct BenchWireKind: Sendable, Hashable {
  enum Transport: String, Sendable, CaseIterable { case tcp, ipc }
  let transport: Transport
  /// Bytes of the tensor in f32.
  let byteCount: Int
  /// Nil for bytes through a plain socket.
  let encoding: TensorEncoding?
  var hasKeys = false

  var isPlain: Bool { encoding == nil }
  var name: String {
    guard let encoding else { return "socket" }
    return encoding.rawValue + (hasKeys ? " + CURVE" : "")
  }

  /// The plain copies first, then all the rest beside them.
  static let all: [BenchWireKind] = Transport.allCases.flatMap { transport in
    [1 << 20, 8 << 10].flatMap { byteCount in
      [BenchWireKind(transport: transport, byteCount: byteCount, encoding: nil)]
        + [false, true].flatMap { hasKeys in
          TensorEncoding.allCases.map {
            BenchWireKind(
              transport: transport, byteCount: byteCount, encoding: $0, hasKeys: hasKeys)
          }
        }
    }
  }
}

/// What one round gave.
struct BenchWireFigures: Sendable {
  var bytesPerSecond = 0.0
  var oneWaySeconds = 0.0
  /// Of both ends, a message of the stream.
  var cpuSeconds = 0.0
  /// Bytes of a message's frames.
  var wireByteCount = 0
}

/// What `palisade bench wire` measured.
struct BenchWireReport: Sendable {
  let head: BenchHead
  private var rounds: [BenchWireKind: [BenchWireFigures]] = [:]

  init(head: BenchHead) { self.head = head }

  mutating func add(_ kind: BenchWireKind, _ figures: BenchWireFigures) {
    rounds[kind, default: []].append(figures)
  }

  private func median(
    _ kind: BenchWireKind, _ path: KeyPath<BenchWireFigures, Double>
  ) -> Double {
    BenchRuns.median((rounds[kind] ?? []).map { $0[keyPath: path] })
  }

  /// The median over rounds of how much slower a kind is than the plain copy of the same round.
  private func ratios(_ kind: BenchWireKind) -> (stream: Double, oneWay: Double)? {
    let plain = BenchWireKind(
      transport: kind.transport, byteCount: kind.byteCount, encoding: nil)
    guard let own = rounds[kind], let base = rounds[plain], own.count == base.count else {
      return nil
    }
    let pairs = zip(own, base)
    return (
      BenchRuns.median(pairs.map { $1.bytesPerSecond / max($0.bytesPerSecond, 1e-9) }),
      BenchRuns.median(pairs.map { $0.oneWaySeconds / max($1.oneWaySeconds, 1e-12) })
    )
  }

  private var kinds: [BenchWireKind] { BenchWireKind.all.filter { rounds[$0] != nil } }

  var table: String {
    var table = TextTable(
      ["", "tensor", "how", "on the wire", "MB/s", "x", "one way µs", "x", "CPU µs"],
      rightAligned: [1, 3, 4, 5, 6, 7, 8])
    for kind in kinds {
      let ratios = ratios(kind)
      table.add([
        kind.transport.rawValue, "\(kind.byteCount >> 10) KiB", kind.name,
        "\(rounds[kind]?.first?.wireByteCount ?? 0)",
        Readable.fixed(median(kind, \.bytesPerSecond) / 1e6, places: 0),
        Readable.fixed(ratios?.stream ?? 0, places: 2),
        Readable.fixed(median(kind, \.oneWaySeconds) * 1e6, places: 1),
        Readable.fixed(ratios?.oneWay ?? 0, places: 2),
        Readable.fixed(median(kind, \.cpuSeconds) * 1e6, places: 1),
      ])
    }
    return head.title + "\n" + table.text
  }

  var json: String {
    get throws {
      let messages: [[String: Any]] = kinds.map { kind in
        let ratios = ratios(kind)
        let all = (rounds[kind] ?? []).map { $0.bytesPerSecond / 1e6 }
        return [
          "transport": kind.transport.rawValue, "tensor_bytes": kind.byteCount,
          "encoding": kind.encoding?.rawValue ?? "socket", "curve": kind.hasKeys,
          "wire_bytes": rounds[kind]?.first?.wireByteCount ?? 0,
          "mbps": median(kind, \.bytesPerSecond) / 1e6,
          "mbps_lowest": all.min() ?? 0, "mbps_highest": all.max() ?? 0,
          "one_way_us": median(kind, \.oneWaySeconds) * 1e6,
          "cpu_us": median(kind, \.cpuSeconds) * 1e6,
          "stream_by_socket": ratios?.stream ?? 0, "one_way_by_socket": ratios?.oneWay ?? 0,
        ]
      }
      return try head.line(["messages": messages])
    }
  }
}
