import Messaging

/// The requests of one client that have no reply yet. Owned by the client's thread.
struct PendingReplies {
  /// One request.
  struct Entry {
    let submit: Submit
    let handler: ReplyHandler
    let deadline: ContinuousClock.Instant
    /// When to send it (again); nil while the coordinator has it.
    var sendAt: ContinuousClock.Instant?
    /// The wait before it was last sent again.
    var busyMilliseconds = 0
  }

  private var entries: [UInt64: Entry] = [:]
  private let patience: RemotePatience

  init(patience: RemotePatience) { self.patience = patience }

  var isEmpty: Bool { entries.isEmpty }

  /// Takes a request in, or refuses it when too many wait.
  mutating func add(_ submit: Submit, _ handler: ReplyHandler, now: ContinuousClock.Instant) {
    guard entries.count < JobLimits.pendingRequestCount else {
      return handler.finish(
        .failure(
          Failure(
            code: "overloaded",
            message: "\(entries.count) requests wait already; send fewer at once")))
    }
    entries[submit.tag] = Entry(
      submit: submit, handler: handler,
      deadline: now + .milliseconds(patience.replyMilliseconds), sendAt: now)
  }

  /// What should be sent by now, oldest first.
  func due(_ now: ContinuousClock.Instant) -> [Submit] {
    entries.values.filter { $0.sendAt.map { $0 <= now } ?? false }
      .map(\.submit).sorted { $0.tag < $1.tag }
  }

  /// The time of the next sending, if one waits for its time.
  var nextSending: ContinuousClock.Instant? { entries.values.compactMap(\.sendAt).min() }

  mutating func markSent(_ tag: UInt64) { entries[tag]?.sendAt = nil }

  /// Gives a reply to who waits for it; a busy one sends the request again a little later.
  mutating func receive(_ reply: Reply, now: ContinuousClock.Instant) {
    guard var entry = entries[reply.tag] else { return }
    if reply.isBusy {
      entry.busyMilliseconds = min(
        max(2 * entry.busyMilliseconds, patience.busyMilliseconds),
        patience.busyMillisecondsMaximum)
      entry.sendAt = now + .milliseconds(entry.busyMilliseconds)
      entries[reply.tag] = entry
    } else {
      finish(reply.tag, .success(reply))
    }
  }

  /// Ends one request.
  ///
  /// - Returns: whether the coordinator had it.
  @discardableResult
  mutating func finish(_ tag: UInt64, _ result: Result<Reply, Failure>) -> Bool {
    guard let entry = entries.removeValue(forKey: tag) else { return false }
    entry.handler.finish(result)
    return entry.sendAt == nil
  }

  /// Fails every request that was sent, or every request at all.
  mutating func failAll(onlySent: Bool = false, _ failure: Failure) {
    for (tag, entry) in entries where !onlySent || entry.sendAt == nil {
      finish(tag, .failure(failure))
    }
  }

  /// Fails what waits too long.
  ///
  /// - Returns: the tags, to be withdrawn.
  mutating func expire(_ now: ContinuousClock.Instant) -> [UInt64] {
    let late = entries.filter { $0.value.deadline <= now }.map(\.key)
    for tag in late {
      finish(
        tag,
        .failure(
          Failure(
            code: "reply_timeout",
            message: "no reply within \(patience.replyMilliseconds / 1000) s although the "
              + "coordinator lives; look at its log, or send fewer requests at once")))
    }
    return late
  }
}
