import Foundation
import Messaging
import PaliGemma
import Synchronization

/// What the door gives from; changed by its owner's thread, read by the door's.
final class SharedSource: Sendable {
  let source: Mutex<ModelSource?>
  /// Bytes of chunks that were sent.
  let sentByteCount = Atomic(0)
  init(_ source: ModelSource?) { self.source = Mutex(source) }
}

/// Gives the model's tensors to workers that have no files of it: the coordinator's, and each worker's
/// for what it has itself.
///
/// A thread, a socket and a context of its own: however much goes out here, orders and heartbeats go
/// their way beside it. A worker asks for some chunks at a time; those that its queue has no room for
/// are dropped, and it asks again.
final class ModelDoor: Sendable {
  /// Where it listens, with the real port.
  let endpoint: String
  /// Who watches it.
  let gate: Gatekeeper
  private let shared: SharedSource
  private let stopping: Mailbox<Void>

  /// The code of a refusal: others are being given weights now.
  static let busy = "busy"

  /// The coordinator's door.
  convenience init(
    _ configuration: Coordinator.Configuration, config: ModelConfig, endpoint: String,
    report: @escaping @Sendable (CoordinatorReport) -> Void
  ) throws(MessagingError) {
    try self.init(
      SharedSource(ModelSource(directory: configuration.modelDirectory, config: config)),
      endpoint: endpoint, configuration.links, configuration.limits,
      uploads: configuration.limits.workers, report: report)
  }

  /// A door that gives from `shared`, to at most `uploads` at a time.
  init(
    _ shared: SharedSource, endpoint: String, _ links: Links, _ limits: Limits, uploads: Int,
    report: @escaping @Sendable (CoordinatorReport) -> Void
  ) throws(MessagingError) {
    self.shared = shared
    let context = try Context()
    gate = try links.gatekeeper(in: context) { told in
      // Of the list's changes the control door's gatekeeper tells.
      switch told {
      case .refused, .muted: report(.gate(told))
      case .listRead, .listUnreadable: break
      }
    }
    var options = SocketOptions()
    // Requests are small, and one more than those may be a question for a manifest.
    options.limits = .model
    options.receiveHighWaterMark = 2 * limits.chunksInFlight
    options.sendHighWaterMark = 2 * limits.chunksInFlight
    let socket = try Socket(
      .router, in: context, options: links.listening(at: .model, options))
    try socket.bind(endpoint)
    self.endpoint = try socket.lastEndpoint()
    let stopping = try Mailbox<Void>(capacity: 1)
    self.stopping = stopping
    let work = ModelDoorThread(socket, gate, shared, stopping, limits, uploads, report)
    let thread = Thread { work.run() }
    thread.name = "model door"
    thread.start()
  }

  /// From now on gives what `source` has.
  func offer(_ source: ModelSource?) { shared.source.withLock { $0 = source } }

  /// Bytes of chunks that were sent.
  var sentByteCount: Int { shared.sentByteCount.load(ordering: .relaxed) }

  deinit { _ = stopping.post(()) }
}

/// What the door's thread owns.
private final class ModelDoorThread: Sendable {
  private let handed: Mutex<Socket?>
  private let gate: Gatekeeper
  private let shared: SharedSource
  private let uploadsMaximum: Int
  private let stopping: Mailbox<Void>
  private let limits: Limits
  private let report: @Sendable (CoordinatorReport) -> Void
  /// Messages read before a tensor is hashed for a manifest.
  private static let turn = 64

  init(
    _ socket: consuming sending Socket, _ gate: Gatekeeper, _ shared: SharedSource,
    _ stopping: Mailbox<Void>, _ limits: Limits, _ uploads: Int,
    _ report: @escaping @Sendable (CoordinatorReport) -> Void
  ) {
    handed = Mutex(consume socket)
    self.gate = gate
    self.shared = shared
    uploadsMaximum = uploads
    self.stopping = stopping
    self.limits = limits
    self.report = report
  }

  func run() {
    guard let socket = handed.withLock({ $0.take() }) else { return }
    let report = report
    var poller = Poller()
    _ = poller.add(socket)
    _ = poller.add(fileDescriptor: stopping.wakeup)
    var watch = DoorWatch(gate, door: .model) { report(.gate($0)) }
    /// Who waits for which manifest: one for each peer.
    var waiting: [(peer: PeerIdentity, request: ManifestRequest)] = []
    /// Who is given weights, and when it last asked.
    var uploads: [PeerIdentity: Int] = [:]
    while stopping.takeAll().isEmpty {
      receive(socket, &watch, &uploads, &waiting)
      // A tensor at a time: whoever has its manifest gets its chunks meanwhile.
      if let first = waiting.first, let answer = answer(to: first.request) {
        waiting.removeFirst()
        if case .manifest(let manifest) = answer {
          report(.shared(blocks: manifest.blocks, byteCount: manifest.byteCount))
        }
        send(answer, to: first.peer, socket)
      }
      do throws(MessagingError) {
        _ = try poller.wait(waiting.isEmpty ? .milliseconds(500) : .never)
      } catch { return }
    }
  }

  private func receive(
    _ socket: borrowing Socket, _ watch: inout DoorWatch,
    _ uploads: inout [PeerIdentity: Int],
    _ waiting: inout [(peer: PeerIdentity, request: ManifestRequest)]
  ) {
    for _ in 0..<Self.turn {
      do throws(MessagingError) {
        guard let (peer, delivery) = try socket.takeFromPeer() else { return }
        let now = Clock.milliseconds
        guard let sender = watch.sender(of: delivery, from: peer, now: now) else { continue }
        guard sender.mayBe(.worker) else {
          watch.refuse(peer, now: now)
          continue
        }
        guard hasRoom(for: peer, &uploads, now: now) else {
          let text = "\(uploads.count) workers are given weights here already; ask elsewhere"
          send(.refusal(Failure(code: ModelDoor.busy, message: text)), to: peer, socket)
          continue
        }
        do throws(MessagingError) {
          switch try ModelMessage.decode(delivery.frames) {
          case .manifestRequest(let request):
            waiting.removeAll { $0.peer == peer }
            // More than there may be workers are no workers.
            if waiting.count < limits.workers { waiting.append((peer, request)) }
          case .chunkRequest(let request): send(answer(to: request), to: peer, socket)
          case .manifest, .chunk, .refusal: watch.refuse(peer, now: now)
          }
        } catch {
          report(.dropped("a message at the model door: \(error)"))
          watch.refuse(peer, now: now)
        }
      } catch { report(.dropped("a message at the model door: \(error)")) }
    }
  }

  /// Whether a peer may be given something; one that has not asked for a while leaves its place.
  private func hasRoom(
    for peer: PeerIdentity, _ uploads: inout [PeerIdentity: Int], now: Int
  ) -> Bool {
    if uploads[peer] == nil, uploads.count >= uploadsMaximum {
      uploads = uploads.filter { now - $0.value <= limits.sourceSilenceMilliseconds }
      if uploads.count >= uploadsMaximum { return false }
    }
    uploads[peer] = now
    return true
  }

  private func answer(to request: ManifestRequest) -> ModelMessage? {
    shared.source.withLock { source in
      source == nil ? Self.nothingYet : source?.answer(to: request)
    }
  }

  private func answer(to request: ChunkRequest) -> ModelMessage {
    let answer = shared.source.withLock { $0?.answer(to: request) }
    if case .chunk(_, let bytes)? = answer {
      shared.sentByteCount.wrappingAdd(bytes.byteCount, ordering: .relaxed)
    }
    return answer ?? Self.nothingYet
  }

  private static let nothingYet = ModelMessage.refusal(
    Failure(code: ModelSource.unknownTensor, message: "there is nothing here yet"))

  private func send(_ message: ModelMessage, to peer: PeerIdentity, _ socket: borrowing Socket) {
    do throws(MessagingError) { try socket.send(message.encode(), to: peer) } catch {
      // A worker that has gone, or that asks for more than it reads: it asks again.
      guard error.isOfTheMessage else { return }
      report(.dropped("an answer at the model door: \(error)"))
    }
  }
}
