import CZeroMQ
import Foundation

extension Socket {
  /// Sends one message of one or more frames: all of it, or nothing.
  ///
  /// - Throws: `.wouldBlock` or `.timedOut` when no peer takes it in time (nothing was sent);
  ///   `.unreachable` when a router does not know the peer; `.tooLarge` beyond the socket's limits;
  ///   `.terminated` after a shutdown of the context.
  public func send(_ frames: [Frame], wait: Wait = .never) throws(MessagingError) {
    try checkSize(of: frames)
    let deadline = Deadline(wait)
    while true {
      if try trySend(frames) { return }
      guard try poll(ZMQ_POLLOUT, deadline) else {
        throw MessagingError(
          code: wait == .never ? .wouldBlock : .timedOut,
          operation: "send",
          cause: "no peer takes messages now, or its queue is full",
          remedy: "wait until the other end takes messages, or drop this one"
        )
      }
    }
  }

  /// Sends a message to one peer of a router.
  public func send(
    _ frames: [Frame],
    to peer: PeerIdentity,
    wait: Wait = .never
  ) throws(MessagingError) {
    try send([Frame(bytes: peer.bytes)] + frames, wait: wait)
  }

  /// Takes the next message; nil when none came in time.
  ///
  /// - Throws: `.tooLarge` for a message beyond the socket's limits, which is then gone;
  ///   `.terminated` after a shutdown of the context.
  public func receive(wait: Wait = .never) throws(MessagingError) -> [Frame]? {
    try take(wait: wait)?.frames
  }

  /// Takes the next message with its sender's key; nil when none came in time.
  ///
  /// - Throws: as `receive(wait:)`.
  public func take(wait: Wait = .never) throws(MessagingError) -> Delivery? {
    let deadline = Deadline(wait)
    while true {
      if let delivery = try tryReceive() { return delivery }
      guard try poll(ZMQ_POLLIN, deadline) else { return nil }
    }
  }

  /// Takes the next message of a router, and who sent it; nil when none came in time.
  public func receiveFromPeer(
    wait: Wait = .never
  ) throws(MessagingError) -> (peer: PeerIdentity, frames: [Frame])? {
    guard let (peer, delivery) = try takeFromPeer(wait: wait) else { return nil }
    return (peer, delivery.frames)
  }

  /// Takes the next message of a router, who sent it, and by what key; nil when none came in time.
  public func takeFromPeer(
    wait: Wait = .never
  ) throws(MessagingError) -> (peer: PeerIdentity, delivery: Delivery)? {
    guard let delivery = try take(wait: wait) else { return nil }
    guard let identity = delivery.frames.first else {
      throw .malformed("receive from a peer", "the message has no frames")
    }
    let rest = Delivery(frames: Array(delivery.frames.dropFirst()), senderKey: delivery.senderKey)
    return (PeerIdentity(identity.bytes), rest)
  }

  private func checkSize(of frames: [Frame]) throws(MessagingError) {
    let limits = options.limits
    guard !frames.isEmpty else { throw .malformed("send", "the message has no frames") }
    guard frames.count <= limits.maximumFrameCount else {
      throw .tooLarge("frames to send", frames.count, atMost: limits.maximumFrameCount)
    }
    let byteCount = frames.reduce(0) { $0 + $1.byteCount }
    guard byteCount <= limits.maximumByteCount else {
      throw .tooLarge("bytes to send", byteCount, atMost: limits.maximumByteCount)
    }
  }

  /// - Returns: false when it would block, with nothing sent.
  private func trySend(_ frames: [Frame]) throws(MessagingError) -> Bool {
    var lost: MessagingError?
    for (index, frame) in frames.enumerated() {
      let more = index < frames.count - 1 ? ZMQ_SNDMORE : 0
      var result: Int32
      repeat {
        result = sendFrame(frame, to: handle.pointer, flags: ZMQ_DONTWAIT | more)
      } while result < 0 && zmq_errno() == EINTR
      if result >= 0 { continue }
      let error = MessagingError.zeroMQ("send")
      if index == 0 {
        if error.code == .wouldBlock { return false }
        throw error
      }
      if error.code == .terminated { throw error }
      // The queue takes whole messages, so only a peer lost half-way brings us here; libzmq has
      // rolled the message back. The rest is still offered, so that it ends at its last frame.
      lost = MessagingError(
        code: .unreachable,
        operation: "send",
        cause: "the peer went while a message was queued",
        remedy: "send the message again"
      )
    }
    if let lost { throw lost }
    return true
  }

  private func tryReceive() throws(MessagingError) -> Delivery? {
    var frames: [Frame] = []
    var senderKey: String?
    let hasSender = if case .curveServer = options.security { true } else { false }
    var frameCount = 0
    var byteCount = 0
    while true {
      let frame: Frame
      let isLast: Bool
      switch receiveFrame(
        from: handle.pointer, flags: ZMQ_DONTWAIT, wantsSender: hasSender && senderKey == nil)
      {
      case .failure where zmq_errno() == EINTR: continue
      case .failure where zmq_errno() == EAGAIN && frameCount == 0: return nil
      case .failure: throw .zeroMQ("receive")
      case .frame(let received, let last, let key):
        (frame, isLast) = (received, last)
        // A router makes the first frame itself: that one has no sender.
        senderKey = senderKey ?? key
      }
      frameCount += 1
      byteCount += frame.byteCount
      // Beyond the limits the rest is read and dropped, so that the next message starts cleanly.
      if frameCount <= options.limits.maximumFrameCount,
        byteCount <= options.limits.maximumByteCount
      {
        frames.append(frame)
      } else {
        frames = []
      }
      if isLast { break }
    }
    guard frameCount <= options.limits.maximumFrameCount else {
      throw .tooLarge("frames received", frameCount, atMost: options.limits.maximumFrameCount)
    }
    guard byteCount <= options.limits.maximumByteCount else {
      throw .tooLarge("bytes received", byteCount, atMost: options.limits.maximumByteCount)
    }
    return Delivery(frames: frames, senderKey: senderKey)
  }

  /// - Returns: false when the deadline has passed without the event.
  private func poll(_ events: Int32, _ deadline: Deadline) throws(MessagingError) -> Bool {
    while true {
      let milliseconds = deadline.remainingMilliseconds
      if milliseconds == 0 { return false }
      var item = zmq_pollitem_t(
        socket: handle.pointer,
        fd: 0,
        events: Int16(truncatingIfNeeded: events),
        revents: 0
      )
      let count = zmq_poll(&item, 1, milliseconds)
      if count > 0 { return true }
      if count < 0 && zmq_errno() != EINTR { throw .zeroMQ("poll") }
    }
  }
}

/// A message as it came in.
public struct Delivery: Sendable {
  /// Its frames.
  public let frames: [Frame]
  /// The public key that the sender proved to have; nil on sockets without keys.
  public let senderKey: String?
}

/// When a wait ends, whatever interrupts it meanwhile.
struct Deadline {
  private let end: ContinuousClock.Instant?
  private let isForever: Bool

  init(_ wait: Wait) {
    switch wait {
    case .never: (end, isForever) = (nil, false)
    case .milliseconds(let count): (end, isForever) = (.now + .milliseconds(count), false)
    case .forever: (end, isForever) = (nil, true)
    }
  }

  /// As `zmq_poll` takes it: -1 for ever, 0 when the time has passed.
  ///
  /// Rounded up, lest it spin.
  var remainingMilliseconds: Int {
    if isForever { return -1 }
    guard let end else { return 0 }
    let remaining = ContinuousClock.now.duration(to: end)
    guard remaining > .zero else { return 0 }
    let (seconds, attoseconds) = remaining.components
    // At most an hour at a time; the caller asks again.
    return Int(min(seconds, 3600)) * 1000 + Int(attoseconds / 1_000_000_000_000_000) + 1
  }
}
