import Foundation
import Glibc
import Messaging
import PaliGemma
import Synchronization
import Tensors

/// Sends messages of one kind from this thread to another one and back: each end has a context, and so
/// I/O threads, of its own, as two workers have.
struct BenchWireLoad {
  let kind: BenchWireKind
  /// Messages of the stream.
  let streamed: Int
  /// Messages there and back.
  let exchanges: Int
  /// Nothing takes longer, unless it is lost.
  static let patience = Wait.milliseconds(20_000)

  /// What a message asks of the other end; it travels as the plan's epoch.
  private enum Order: UInt64 { case take = 1, answer, end }

  /// - Throws: what ZeroMQ or the system says.
  func run(in folder: URL) throws -> BenchWireFigures {
    if kind.isPlain { return try PlainLoad(self, folder: folder).run() }
    let links = try Self.links(kind.hasKeys, folder)
    let there = endpoint(folder, "there")
    let opened = Mutex<String?>(nil)
    let failed = Mutex<String?>(nil)
    let thread = Thread {
      do {
        try Self.echo(
          kind, at: there, back: endpoint(folder, "back"), links.there, peer: links.here,
          opened: { name in opened.withLock { $0 = name } })
      } catch { failed.withLock { $0 = "\(error)" } }
    }
    thread.name = "echo"
    thread.start()
    defer { while !thread.isFinished { usleep(200) } }
    let deadline = ContinuousClock.now + .seconds(20)
    while opened.withLock({ $0 }) == nil {
      if let failure = failed.withLock({ $0 }) { throw CommandFailure(failure) }
      guard ContinuousClock.now < deadline else {
        throw CommandFailure("the other end did not open its socket")
      }
      usleep(200)
    }
    return try drive(links.here, opened.withLock { $0 } ?? "", links.there.publicKey, folder)
  }

  private func endpoint(_ folder: URL, _ name: String) -> String {
    // Each kind its own: a closed socket's path may linger.
    let file = "\(name)-\(kind.byteCount >> 10)-\(kind.name.filter(\.isLetter))\(kind.hasKeys)"
    return kind.transport == .tcp
      ? "tcp://127.0.0.1:*" : "ipc://" + folder.appending(path: file).path(percentEncoded: false)
  }

  private func message(_ order: Order, sequence: Int) -> MicroBatch {
    var batch = MicroBatch(
      epoch: order.rawValue, sequence: UInt64(sequence), stage: 1, route: [0, 1, 2], segments: [],
      tensor: BlockSample.rows(kind.byteCount / 8192, width: 2048))
    batch.encoding = kind.encoding ?? .exact
    return batch
  }

  /// This end: connects, warms up, streams, exchanges, and ends the other one.
  private func drive(
    _ links: Links, _ there: String, _ peerKey: String, _ folder: URL
  ) throws -> BenchWireFigures {
    let context = try Context()
    let gate = try links.gatekeeper(in: context)
    if links.areKeyed { try gate.admit(workers: [links.publicKey, peerKey]) }
    let options = SocketOptions()
    let pull = try Socket(.pull, in: context, options: links.listening(at: .data, options))
    try pull.bind(endpoint(folder, "back"))
    let push = try Socket(
      .push, in: context, options: links.toWorker(options, publicKey: peerKey))
    try push.connect(there)
    let back = Array(try pull.lastEndpoint().utf8)
    let own = Array(links.publicKey.utf8)
    // The other end is told where to answer, and by what key.
    try push.send([Frame(bytes: back), Frame(bytes: own)], wait: Self.patience)
    var (take, answer) = (message(.take, sequence: 0), message(.answer, sequence: 0))
    func exchange() throws {
      answer.sequence += 1
      try push.send(StageMessage.microBatch(answer).encode(), wait: Self.patience)
      guard let frames = try pull.receive(wait: Self.patience) else {
        throw CommandFailure("a message of \(kind.name) over \(kind.transport.rawValue) was lost")
      }
      _ = try StageMessage.decode(frames)
    }
    for _ in 0..<3 { try exchange() }
    var figures = BenchWireFigures()
    figures.wireByteCount = try StageMessage.microBatch(take).encode().reduce(0) {
      $0 + $1.byteCount
    }
    let (start, cpu) = (BenchClock.nanoseconds, BenchClock.cpuSeconds)
    for _ in 0..<streamed {
      take.sequence += 1
      try push.send(StageMessage.microBatch(take).encode(), wait: Self.patience)
    }
    // Its answer comes after all of them.
    try exchange()
    let seconds = Double(BenchClock.nanoseconds - start) / 1e9
    figures.bytesPerSecond = Double((streamed + 1) * kind.byteCount) / seconds
    figures.cpuSeconds = (BenchClock.cpuSeconds - cpu) / Double(streamed + 1)
    var times: [Double] = []
    for _ in 0..<exchanges {
      let start = BenchClock.nanoseconds
      try exchange()
      times.append(Double(BenchClock.nanoseconds - start) / 2e9)
    }
    figures.oneWaySeconds = BenchRuns.median(times)
    try push.send(StageMessage.microBatch(message(.end, sequence: 0)).encode(), wait: Self.patience)
    withExtendedLifetime(gate) {}
    return figures
  }

  /// The other end: takes everything in as a stage does, and answers what wants an answer.
  private static func echo(
    _ kind: BenchWireKind, at endpoint: String, back: String, _ links: Links, peer: Links,
    opened: (String) -> Void
  ) throws {
    let context = try Context()
    let gate = try links.gatekeeper(in: context)
    if links.areKeyed { try gate.admit(workers: [links.publicKey, peer.publicKey]) }
    let options = SocketOptions()
    let pull = try Socket(.pull, in: context, options: links.listening(at: .data, options))
    try pull.bind(endpoint)
    opened(try pull.lastEndpoint())
    guard let hello = try pull.receive(wait: patience), hello.count == 2 else { return }
    let push = try Socket(
      .push, in: context,
      options: links.toWorker(
        options, publicKey: String(decoding: hello[1].bytes, as: UTF8.self)))
    try push.connect(String(decoding: hello[0].bytes, as: UTF8.self))
    while let frames = try pull.receive(wait: patience) {
      guard case .microBatch(var batch) = try StageMessage.decode(frames),
        let order = Order(rawValue: batch.epoch), order != .end
      else { break }
      guard order == .answer else { continue }
      batch.encoding = kind.encoding ?? .exact
      try push.send(StageMessage.microBatch(batch).encode(), wait: patience)
    }
    withExtendedLifetime(gate) {}
  }

  /// How both ends protect their sockets: with the keys of two workers, or not at all.
  private static func links(_ hasKeys: Bool, _ folder: URL) throws -> (here: Links, there: Links) {
    guard hasKeys else { return (.local, .local) }
    let keys = KeyFolder(folder.appending(path: "keys").path(percentEncoded: false))
    let other = keys.file("other")
    if !FileManager.default.fileExists(atPath: other) {
      try keys.make()
      try keys.add(.worker, name: "other")
    }
    return (.curve(try keys.key(for: .worker)), .curve(try KeyFile(path: other)))
  }
}

/// The same number of bytes through a plain socket.
private struct PlainLoad {
  let load: BenchWireLoad
  let folder: URL
  private var byteCount: Int { load.kind.byteCount }

  init(_ load: BenchWireLoad, folder: URL) { (self.load, self.folder) = (load, folder) }

  func run() throws -> BenchWireFigures {
    let (here, there) = try pair()
    defer { close(here) }
    let (byteCount, streamed, exchanges) = (byteCount, load.streamed, load.exchanges)
    let thread = Thread {
      defer { close(there) }
      var buffer = [UInt8](repeating: 0, count: byteCount)
      for _ in 0..<streamed where !Self.receive(there, &buffer) { return }
      for _ in 0..<exchanges + 1 {
        guard Self.receive(there, &buffer), Self.send(there, buffer) else { return }
      }
    }
    thread.name = "echo"
    thread.start()
    var buffer = [UInt8](repeating: 1, count: byteCount)
    var figures = BenchWireFigures()
    figures.wireByteCount = byteCount
    let (start, cpu) = (BenchClock.nanoseconds, BenchClock.cpuSeconds)
    for _ in 0..<streamed { guard Self.send(here, buffer) else { throw Self.broken } }
    guard Self.send(here, buffer), Self.receive(here, &buffer) else { throw Self.broken }
    let seconds = Double(BenchClock.nanoseconds - start) / 1e9
    figures.bytesPerSecond = Double((streamed + 1) * byteCount) / seconds
    figures.cpuSeconds = (BenchClock.cpuSeconds - cpu) / Double(streamed + 1)
    var times: [Double] = []
    for _ in 0..<exchanges {
      let start = BenchClock.nanoseconds
      guard Self.send(here, buffer), Self.receive(here, &buffer) else { throw Self.broken }
      times.append(Double(BenchClock.nanoseconds - start) / 2e9)
    }
    figures.oneWaySeconds = BenchRuns.median(times)
    while !thread.isFinished { usleep(200) }
    return figures
  }

  private static var broken: CommandFailure {
    CommandFailure("a plain socket broke: \(String(cString: strerror(errno)))")
  }

  /// Two ends of one connection.
  private func pair() throws -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    if load.kind.transport == .ipc {
      guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
        throw Self.broken
      }
      return (ends[0], ends[1])
    }
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let here = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let isOpen = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, size) == 0 && listen(listener, 1) == 0
          && getsockname(listener, $0, &size) == 0 && connect(here, $0, size) == 0
      }
    }
    let there = isOpen ? accept(listener, nil, nil) : -1
    guard isOpen, there >= 0 else { throw Self.broken }
    var one: Int32 = 1
    for end in [here, there] {
      setsockopt(
        end, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }
    return (here, there)
  }

  private static func send(_ end: Int32, _ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return true }
      var done = 0
      while done < buffer.count {
        let count = Glibc.send(
          end, base + done, buffer.count - done, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        done += count
      }
      return true
    }
  }

  private static func receive(_ end: Int32, _ bytes: inout [UInt8]) -> Bool {
    bytes.withUnsafeMutableBytes { buffer in
      guard let base = buffer.baseAddress else { return true }
      var done = 0
      while done < buffer.count {
        let count = recv(end, base + done, buffer.count - done, 0)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        done += count
      }
      return true
    }
  }
}
