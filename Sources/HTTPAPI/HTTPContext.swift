import Hummingbird
import NIOCore

/// What goes along with one request through middleware and route.
public struct HTTPContext: RequestContext {
  /// What Hummingbird keeps.
  public var coreContext: CoreRequestContextStorage
  /// The connection.
  let channel: any Channel

  /// Of a request on a connection.
  public init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }
}

/// The routes of the service; a file that adds some takes it as its first argument.
public typealias HTTPRouter = Router<HTTPContext>
