import NIOCore
import NIOHTTPTypes
import Synchronization

/// Notices that the client has gone, on one connection, and tells those who answer it.
///
/// Hummingbird's own `consumeWithCancellationOnInboundClose` ends keep-alive, and serves either the
/// time before the response's head or the time after it; answers need both. A client that only shuts
/// its sending side counts as gone: none of HTTP's clients does that while it waits.
final class ConnectionWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart

  private struct State {
    var isClosed = false
    var next = 0
    var actions: [Int: @Sendable () -> Void] = [:]
  }
  private let state = Mutex(State())

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .some(.inputClosed) = event as? ChannelEvent { close() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    close()
    context.fireChannelInactive()
  }

  private func close() {
    let actions = state.withLock { state in
      state.isClosed = true
      defer { state.actions = [:] }
      return state.actions
    }
    for action in actions.values { action() }
  }

  /// Calls `action` once when the client goes; at once if it has gone.
  ///
  /// - Returns: what `forget` takes when nobody needs to know any more.
  func onClose(_ action: @escaping @Sendable () -> Void) -> Int {
    let number = state.withLock { state -> Int? in
      if state.isClosed { return nil }
      state.next += 1
      state.actions[state.next] = action
      return state.next
    }
    if let number { return number }
    action()
    return 0
  }

  /// Takes back what `onClose` was given.
  func forget(_ number: Int) { state.withLock { _ = $0.actions.removeValue(forKey: number) } }
}

extension HTTPContext {
  /// The watch on this request's connection; nil where there is no real one, as in tests.
  func connectionWatch() async -> ConnectionWatch? {
    guard channel.isActive else { return nil }
    return try? await channel.pipeline.handler(type: ConnectionWatch.self).get()
  }
}
