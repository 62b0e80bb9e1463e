import Foundation
import Messaging
import PaliGemma
import Synchronization

/// Gives the model's tensors to workers that have no files of it.
///
/// A thread, a socket and a context of its own: however much goes out here, orders and heartbeats go
/// their way beside it. A worker asks for some chunks at a time; those that its queue has no room for
/// are dropped, and it asks again.
final class ModelDoor: Sendable {
  /// Where it listens, with the real port.
  let endpoint: String
  private let stopping: Mailbox<Void>

  init(
    _ configuration: Coordinator.Configuration, config: ModelConfig, endpoint: String,
    report: @escaping @Sendable (CoordinatorReport) -> Void
  ) throws(MessagingError) {
    let context = try Context()
    let gate = try configuration.links.gatekeeper(in: context) { told in
      // Of the list's changes the control door's gatekeeper tells.
      switch told {
      case .refused, .muted: report(.gate(told))
      case .listRead, .listUnreadable: break
      }
    }
    var options = SocketOptions()
    // Requests are small, and one more than those may be a question for a manifest.
    options.limits = .model
    options.receiveHighWaterMark = 2 * configuration.limits.chunksInFlight
    options.sendHighWaterMark = 2 * configuration.limits.chunksInFlight
    let socket = try Socket(
      .router, in: context, options: configuration.links.listening(at: .model, options))
    try socket.bind(endpoint)
    self.endpoint = try socket.lastEndpoint()
    let stopping = try Mailbox<Void>(capacity: 1)
    self.stopping = stopping
    let work = ModelDoorThread(
      socket, gate, ModelSource(directory: configuration.modelDirectory, config: config), stopping,
      configuration.limits, report)
    let thread = Thread { work.run() }
    thread.name = "model door"
    thread.start()
  }

  deinit { _ = stopping.post(()) }
}

/// What the door's thread owns.
private final class ModelDoorThread: Sendable {
  private let handed: Mutex<Socket?>
  private let gate: Gatekeeper
  private let source: ModelSource
  private let stopping: Mailbox<Void>
  private let limits: Limits
  private let report: @Sendable (CoordinatorReport) -> Void
  /// Messages read before a tensor is hashed for a manifest.
  private static let turn = 64

  init(
    _ socket: consuming sending Socket, _ gate: Gatekeeper, _ source: ModelSource,
    _ stopping: Mailbox<Void>, _ limits: Limits,
    _ report: @escaping @Sendable (CoordinatorReport) -> Void
  ) {
    handed = Mutex(consume socket)
    self.gate = gate
    self.source = source
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
    var source = source
    /// Who waits for which manifest: one for each peer.
    var waiting: [(peer: PeerIdentity, request: ManifestRequest)] = []
    while stopping.takeAll().isEmpty {
      receive(socket, &watch, &source, &waiting)
      // A tensor at a time: whoever has its manifest gets its chunks meanwhile.
      if let first = waiting.first, let answer = source.answer(to: first.request) {
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
    _ socket: borrowing Socket, _ watch: inout DoorWatch, _ source: inout ModelSource,
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
        do throws(MessagingError) {
          switch try ModelMessage.decode(delivery.frames) {
          case .manifestRequest(let request):
            waiting.removeAll { $0.peer == peer }
            // More than there may be workers are no workers.
            if waiting.count < limits.workers { waiting.append((peer, request)) }
          case .chunkRequest(let request): send(source.answer(to: request), to: peer, socket)
          case .manifest, .chunk, .refusal: watch.refuse(peer, now: now)
          }
        } catch {
          report(.dropped("a message at the model door: \(error)"))
          watch.refuse(peer, now: now)
        }
      } catch { report(.dropped("a message at the model door: \(error)")) }
    }
  }

  private func send(_ message: ModelMessage, to peer: PeerIdentity, _ socket: borrowing Socket) {
    do throws(MessagingError) { try socket.send(message.encode(), to: peer) } catch {
      // A worker that has gone, or that asks for more than it reads: it asks again.
      guard error.isOfTheMessage else { return }
      report(.dropped("an answer at the model door: \(error)"))
    }
  }
}
