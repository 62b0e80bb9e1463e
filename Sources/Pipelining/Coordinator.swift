import Foundation
import Messaging
import PaliGemma
import Tensors

/// What comes from clients.
public enum ClientEvent: Sendable {
  /// A client wants something.
  case message(ClientMessage, from: PeerIdentity)
  /// A client has said nothing for so long that nobody is there to answer to.
  case gone(PeerIdentity)
}

/// The coordinator of a cluster: admits workers, gives them stages, and lets requests into the
/// pipeline. One thread owns its sockets; callers and clients reach it through bounded mailboxes.
public final class Coordinator: Engine {
  /// What a coordinator needs to know.
  public struct Configuration: Sendable {
    /// Where workers and clients connect: `tcp://127.0.0.1:7400`, `ipc:///tmp/x`; port `*` is free.
    public var endpoint: String
    /// Where the last stage's results come in; nil for a free port beside `endpoint`.
    public var resultsEndpoint: String?
    /// Where workers without files get weights; nil for a free port beside `endpoint`.
    public var weightsEndpoint: String?
    /// How workers reach this machine for results and weights, behind a translation of addresses or a
    /// proxy: a host, at the ports that are bound here, or `tcp://HOST:PORT`, for results alone. Nil
    /// means by the address at which they reach `endpoint`.
    public var advertised: String?
    /// The stages to fill.
    public var template: ClusterTemplate
    /// The checkpoint's folder as the workers see it.
    public var modelDirectory: String
    /// Precision of the arithmetic.
    public var precision: Precision
    /// Who makes the plan.
    public var planning = ClusterPlanning.template
    /// How rows travel from stage to stage.
    public var encoding = TensorEncoding.exact
    /// How its sockets are protected.
    public var links = Links.local
    /// Every maximum.
    public var limits: Limits
    /// What clients are told of the model; nil tells them nothing.
    public var model: ModelIdentity?

    /// A configuration.
    public init(
      endpoint: String, template: ClusterTemplate, modelDirectory: String,
      precision: Precision = .f32, limits: Limits = Limits()
    ) {
      self.endpoint = endpoint
      self.template = template
      self.modelDirectory = modelDirectory
      self.precision = precision
      self.limits = limits
    }
  }

  /// The model's numbers.
  public let config: ModelConfig
  /// Where it listens, with the real port.
  public let endpoint: String
  /// What clients are told of the model.
  public let model: ModelIdentity?
  /// What clients send; the buffer is bounded, and a message that finds it full is answered busy.
  public let clients: AsyncStream<ClientEvent>
  /// What happens in the cluster, for logs.
  public let reports: AsyncStream<CoordinatorReport>
  private let submissions: SubmissionQueue
  private let replies: Mailbox<(PeerIdentity, ServerMessage)>

  private init(
    config: ModelConfig, model: ModelIdentity?, endpoint: String,
    clients: AsyncStream<ClientEvent>, reports: AsyncStream<CoordinatorReport>,
    submissions: SubmissionQueue, replies: Mailbox<(PeerIdentity, ServerMessage)>
  ) {
    self.config = config
    self.model = model
    self.endpoint = endpoint
    self.clients = clients
    self.reports = reports
    self.submissions = submissions
    self.replies = replies
  }

  /// Binds the endpoint and starts the thread.
  ///
  /// - Throws: `MessagingError` when the endpoint can't be bound.
  public static func start(
    _ configuration: Configuration, config: ModelConfig
  ) async throws(MessagingError) -> Coordinator {
    let limits = configuration.limits
    let submissions = try SubmissionQueue(capacity: limits.mailbox)
    submissions.telemetry.serves(configuration.model)
    submissions.telemetry.takes(pictureSide: config.vision.imageSide)
    let replies = try Mailbox<(PeerIdentity, ServerMessage)>(capacity: 2 * limits.mailbox)
    let (clients, clientSink) = AsyncStream<ClientEvent>.makeStream(
      bufferingPolicy: .bufferingOldest(limits.requestsWaiting))
    let (reports, reportSink) = AsyncStream<CoordinatorReport>.makeStream(
      bufferingPolicy: .bufferingNewest(limits.mailbox))
    let bound: Result<String, MessagingError> = await withCheckedContinuation { continuation in
      let thread = Thread {
        do throws(MessagingError) {
          let loop = try CoordinatorLoop(
            configuration, config: config, submissions: submissions, replies: replies,
            clients: clientSink, reports: reportSink)
          continuation.resume(returning: .success(loop.endpoint))
          loop.run()
        } catch { continuation.resume(returning: .failure(error)) }
        submissions.close(Failure(code: "stopped", message: "the coordinator was stopped"))
        clientSink.finish()
        reportSink.finish()
      }
      thread.name = "coordinator"
      thread.start()
    }
    return Coordinator(
      config: config, model: configuration.model, endpoint: try bound.get(), clients: clients,
      reports: reports, submissions: submissions, replies: replies)
  }

  /// Answers one request through the cluster.
  public func complete(
    _ request: PreparedRequest, onToken: (@Sendable (TokenLogprob) -> Void)?
  ) async throws(Failure) -> Completion {
    try await submissions.complete(request, onToken: onToken)
  }

  /// What is measured of the cluster and of the requests.
  public var telemetry: Telemetry { submissions.telemetry }

  /// Sends a client its reply.
  ///
  /// - Returns: false when too many replies wait already; the client asks again.
  public func reply(_ message: ServerMessage, to peer: PeerIdentity) -> Bool {
    replies.post((peer, message))
  }

  /// Tells all workers to end, then ends the thread.
  public func stop() { _ = submissions.mailbox.post(.stop) }

  deinit { stop() }
}
