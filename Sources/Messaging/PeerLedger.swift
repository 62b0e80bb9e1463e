/// What each peer of a door sends, and who is not listened to for a while because it sends too much.
///
/// A value that is driven by a clock, owned by the thread of the door. Peers that stay within their
/// limits cost a dictionary look-up per message.
public struct PeerLedger: Sendable {
  /// What one peer may do.
  public struct Limits: Sendable, Equatable {
    /// Messages in a second, on average.
    public var messagesPerSecond = 20_000.0
    /// Bytes in a second, on average: more than a link of 10 Gbit/s carries.
    public var bytesPerSecond = Double(1 << 31)
    /// Messages in a second that could not be read, or that the sender may not send.
    public var refusalsPerSecond = 2.0
    /// Seconds' worth that may come at once; a batch begins with a whole window of pictures.
    public var burstSeconds = 5.0
    /// How long a peer beyond its limits is not listened to.
    public var ignoredMilliseconds = 10_000
    /// Peers remembered; those who were silent longest are forgotten first.
    public var peerCount = 8192

    /// The standard limits.
    public init() {}
  }

  /// Whether to listen to a message.
  public enum Verdict: Sendable, Equatable {
    /// Yes.
    case heard
    /// No, and nothing need be said: it was said before.
    case ignored
    /// No, and for a while from now on; worth a line in a log.
    case muted(reason: String)
  }

  /// A measure that fills with what comes and leaks at the rate allowed.
  private struct Measure {
    var level = 0.0

    mutating func add(_ amount: Double, seconds: Double, rate: Double) {
      level = max(0, level - seconds * rate) + amount
    }
  }

  private struct Account {
    var lastSeen: Int
    var messages = Measure()
    var bytes = Measure()
    var refusals = Measure()
    var mutedUntil = Int.min
    var messageCount = 0
    var byteCount = 0
    var refusalCount = 0
  }

  private let limits: Limits
  private var accounts: [String: Account] = [:]

  /// Nobody has sent anything yet.
  public init(_ limits: Limits = Limits()) { self.limits = limits }

  /// Takes note of a message before it is read.
  ///
  /// - Parameters:
  ///   - peer: by its key, or by its identity where there are no keys.
  ///   - byteCount: of all its frames.
  ///   - now: milliseconds of any steady clock.
  /// - Returns: whether to read it.
  public mutating func note(_ peer: String, byteCount: Int, now: Int) -> Verdict {
    var account = account(of: peer, now: now)
    defer { accounts[peer] = account }
    let seconds = Double(max(0, now - account.lastSeen)) / 1000
    account.lastSeen = now
    account.messageCount += 1
    account.byteCount &+= byteCount
    account.messages.add(1, seconds: seconds, rate: limits.messagesPerSecond)
    account.bytes.add(Double(byteCount), seconds: seconds, rate: limits.bytesPerSecond)
    account.refusals.add(0, seconds: seconds, rate: limits.refusalsPerSecond)
    if now < account.mutedUntil { return .ignored }
    if account.messages.level > limits.messagesPerSecond * limits.burstSeconds {
      return mute(&account, now, "more than \(Int(limits.messagesPerSecond)) messages a second")
    }
    if account.bytes.level > limits.bytesPerSecond * limits.burstSeconds {
      return mute(&account, now, "more than \(Int(limits.bytesPerSecond)) bytes a second")
    }
    return .heard
  }

  /// Takes note that a message of `peer` was refused.
  ///
  /// - Returns: whether to go on listening to it.
  public mutating func refuse(_ peer: String, now: Int) -> Verdict {
    var account = account(of: peer, now: now)
    defer { accounts[peer] = account }
    account.refusalCount += 1
    account.refusals.add(1, seconds: 0, rate: 0)
    if now < account.mutedUntil { return .ignored }
    guard account.refusals.level > limits.refusalsPerSecond * limits.burstSeconds else {
      return .heard
    }
    return mute(&account, now, "\(account.refusalCount) messages that are no good")
  }

  /// What `peer` has sent in all: messages, bytes, and messages refused.
  public func counts(of peer: String) -> (messages: Int, bytes: Int, refused: Int) {
    let account = accounts[peer]
    return (account?.messageCount ?? 0, account?.byteCount ?? 0, account?.refusalCount ?? 0)
  }

  /// Peers remembered.
  public var count: Int { accounts.count }

  private func mute(_ account: inout Account, _ now: Int, _ reason: String) -> Verdict {
    account.mutedUntil = now + limits.ignoredMilliseconds
    // Afterwards it begins with a clean slate, and with what it has sent meanwhile.
    account.messages = Measure()
    account.bytes = Measure()
    account.refusals = Measure()
    return .muted(reason: reason)
  }

  private mutating func account(of peer: String, now: Int) -> Account {
    if let known = accounts[peer] { return known }
    if accounts.count >= limits.peerCount { forget() }
    return Account(lastSeen: now)
  }

  /// Half of them at once, so that a flood of new peers does not sort the table for each.
  private mutating func forget() {
    let seen = accounts.values.map(\.lastSeen).sorted()
    let middle = seen[seen.count / 2]
    accounts = accounts.filter { $0.value.lastSeen > middle }
  }
}
