import Foundation
import Synchronization

/// What a gatekeeper tells its process, for logs.
public enum GateReport: Sendable, Equatable {
  /// Somebody was turned away at a door; told once a minute for each address.
  case refused(door: String, address: String, reason: String)
  /// A peer sends more than it may, or what it may not, and is not listened to for a while.
  case muted(peer: String, reason: String)
  /// The list of those who are let in has changed.
  case listRead(count: Int)
  /// The list can't be read any more; the last one that could goes on.
  case listUnreadable(String)
}

/// Lets peers through the doors of a process by their keys (ZAP, ZeroMQ's RFC 27).
///
/// ZeroMQ asks it about every connection before any message of it is read. It also says of every
/// message whether its sender is still on the list, so that a removed key opens nothing, although
/// its connection still stands.
public final class Gatekeeper: Sendable {
  private let lists: GateLists?
  private let stopping: Mailbox<Void>?
  private let ended: Mailbox<Void>?
  /// How long its thread may take to end; it looks at its mailbox all the time.
  private static let endMilliseconds = 5000

  /// Watches nothing: for processes without keys.
  init() { (lists, stopping, ended) = (nil, nil, nil) }

  /// Watches every door of `context` from now on.
  init(
    _ list: AllowList, file: String?, in context: Context,
    report: @escaping @Sendable (GateReport) -> Void
  ) throws(MessagingError) {
    let lists = GateLists(list, file: file, report: report)
    try lists.readFile()
    let socket = try Socket(.reply, in: context)
    // Bound before any door is, lest somebody come while nobody watches.
    try socket.bind(ZAP.endpoint)
    context.setWatched()
    let stopping = try Mailbox<Void>(capacity: 1)
    let thread = GateThread(socket, lists, stopping)
    self.lists = lists
    self.stopping = stopping
    let ended = try Mailbox<Void>(capacity: 1)
    self.ended = ended
    let start = Thread {
      thread.run()
      _ = ended.post(())
    }
    start.name = "gatekeeper"
    start.stackSize = 1 << 19
    start.start()
  }

  /// Waits until the thread has let go of its context: only then does the context's end wait for the
  /// last messages of its sockets, a coordinator's order to end for instance.
  deinit {
    guard let stopping, let ended else { return }
    _ = stopping.post(())
    var poller = Poller()
    _ = poller.add(fileDescriptor: ended.wakeup)
    _ = try? poller.wait(.milliseconds(Self.endMilliseconds))
  }

  /// Whether it watches at all.
  public var isWatching: Bool { lists != nil }

  /// Who sent a message that came in by `door` from the holder of `key`.
  public func sender(_ key: String?, at door: Door) -> Sender {
    guard let lists else { return .unchecked }
    guard let key, let entry = lists.entry(of: key), door.roles.contains(entry.role) else {
      return .stranger
    }
    return .known(entry.role, name: entry.name)
  }

  /// Lets workers with these keys in, and none that came before them; others stay as they are.
  public func admit(workers keys: [String]) throws(MessagingError) {
    guard let lists else { return }
    try lists.replace(workers: keys)
  }
}

/// Who is let in, for the gatekeeper's thread and all who ask it.
final class GateLists: Sendable {
  private struct State {
    var list: AllowList
    var stamp: [Int] = []
    var told: [String: ContinuousClock.Instant] = [:]
  }
  private let state: Mutex<State>
  private let file: String?
  let report: @Sendable (GateReport) -> Void

  init(_ list: AllowList, file: String?, report: @escaping @Sendable (GateReport) -> Void) {
    state = Mutex(State(list: list))
    self.file = file
    self.report = report
  }

  func entry(of key: String) -> AllowList.Entry? {
    state.withLock { $0.list.entries[key] }
  }

  func replace(workers keys: [String]) throws(MessagingError) {
    var list = AllowList()
    let rest = state.withLock { $0.list }.entries.filter { $0.value.role != .worker }
    for (key, entry) in rest { try list.add(key, role: entry.role, name: entry.name) }
    for key in keys where list.entries[key] == nil {
      try list.add(key, role: .worker, name: LinkRole.worker.rawValue)
    }
    let complete = list
    state.withLock { $0.list = complete }
  }

  /// Reads the file, if there is one.
  func readFile() throws(MessagingError) {
    guard let file else { return }
    // The stamp first: a change after it is seen the next time.
    let stamp = Self.stamp(of: file)
    let list = try AllowList(text: PrivateFile.read(file))
    state.withLock {
      $0.list = list
      $0.stamp = stamp
    }
  }

  /// Reads the file again when it has changed.
  func followFile() {
    guard let file else { return }
    let stamp = Self.stamp(of: file)
    guard stamp != state.withLock({ $0.stamp }) else { return }
    do throws(MessagingError) {
      try readFile()
      report(.listRead(count: state.withLock { $0.list.entries.count }))
    } catch {
      state.withLock { $0.stamp = stamp }
      report(.listUnreadable("\(error)"))
    }
  }

  private static func stamp(of file: String) -> [Int] {
    var status = stat()
    guard stat(file, &status) == 0 else { return [Int(errno)] }
    return [
      Int(truncatingIfNeeded: status.st_ino), Int(status.st_size), Int(status.st_mode),
      status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
    ]
  }

  /// Tells of a refusal, unless the same address was told of lately.
  func refused(_ request: ZAP.Request, _ reason: String) {
    let now = ContinuousClock.now
    let isNew = state.withLock { state in
      if let last = state.told[request.address], now - last < .seconds(60) { return false }
      // Addresses are the stranger's choice: what is kept of them has a bound.
      if state.told.count >= MessageLimits.addressCount { state.told = [:] }
      state.told[request.address] = now
      return true
    }
    if isNew {
      report(.refused(door: request.domain, address: request.address, reason: reason))
    }
  }
}

/// What the gatekeeper's thread owns.
private final class GateThread: Sendable {
  private let handed: Mutex<Socket?>
  private let lists: GateLists
  private let stopping: Mailbox<Void>
  /// How soon a change of the list is noticed where nobody comes.
  private static let followMilliseconds = 500

  init(_ socket: consuming sending Socket, _ lists: GateLists, _ stopping: Mailbox<Void>) {
    handed = Mutex(consume socket)
    self.lists = lists
    self.stopping = stopping
  }

  func run() {
    guard let socket = handed.withLock({ $0.take() }) else { return }
    var poller = Poller()
    _ = poller.add(socket)
    _ = poller.add(fileDescriptor: stopping.wakeup)
    while stopping.takeAll().isEmpty {
      do throws(MessagingError) {
        _ = try poller.wait(.milliseconds(Self.followMilliseconds))
        lists.followFile()
        guard let frames = try socket.receive() else { continue }
        try socket.send(answer(to: frames), wait: .milliseconds(1000))
      } catch {
        // A request that can't be answered leaves its connection unopened. Nothing else is amiss
        // unless the context has ended.
        if error.code == .terminated { return }
      }
    }
  }

  private func answer(to frames: [Frame]) -> [Frame] {
    guard let request = ZAP.Request(frames) else { return ZAP.reply(to: frames, .malformed) }
    guard request.mechanism == "CURVE", let key = request.key,
      let door = Door(rawValue: request.domain)
    else {
      lists.refused(request, "it shows no key")
      return ZAP.reply(to: frames, .refused)
    }
    guard let entry = lists.entry(of: key) else {
      lists.refused(request, "the key \(key) is not on the list")
      return ZAP.reply(to: frames, .refused)
    }
    guard door.roles.contains(entry.role) else {
      lists.refused(request, "the key of \(entry.role.rawValue) \(entry.name) is not for this door")
      return ZAP.reply(to: frames, .refused)
    }
    return ZAP.reply(to: frames, .admitted(user: key))
  }
}
