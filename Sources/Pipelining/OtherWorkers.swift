import Checkpoints
import Messaging
import Tensors

/// Other workers that have some of the weights that this one fetches, as the coordinator told of them.
///
/// What they say is believed as little as what anybody says: a chunk counts when it has the hash that
/// the coordinator's manifest gives it. One that refuses, is silent, or sends anything else is not asked
/// again; what was asked of it is asked elsewhere. Owned by the thread that fetches.
final class OtherWorkers {
  enum Event {
    /// A chunk with the right bytes.
    case chunk(ChunkRequest, Frame)
    /// What was asked of somebody who doesn't give it.
    case lost([ChunkRequest])
  }
  private final class Giver {
    let socket: Socket
    /// Hashes of the tensors that it has; nil while it hasn't said.
    var has: Set<[UInt8]>?
    var underWay: [ChunkRequest] = []
    /// When it last said something, in milliseconds, or should have begun to.
    var heard = Clock.milliseconds

    init(_ socket: consuming Socket) { self.socket = socket }
  }

  private var givers: [Giver] = []
  private let expected: [[UInt8]: SharedTensor]
  private let silenceMilliseconds: Int
  private let chunksMaximum: Int

  /// Connects to the workers at `addresses` and asks them what they have.
  ///
  /// - Parameters:
  ///   - addresses: where they give weights, with their keys.
  ///   - request: for a manifest.
  ///   - tensors: what is to come.
  ///   - options: of the sockets.
  ///   - configuration: of this worker.
  ///   - context: whose I/O thread moves the bytes.
  init(
    _ addresses: [WorkerAddress], _ request: ManifestRequest, _ tensors: [SharedTensor],
    _ options: SocketOptions, _ configuration: WorkerConfiguration, in context: Context
  ) {
    expected = Dictionary(tensors.map { ($0.hash.bytes, $0) }) { first, _ in first }
    silenceMilliseconds = configuration.limits.sourceSilenceMilliseconds
    chunksMaximum = configuration.limits.chunksInFlight
    for address in addresses.prefix(configuration.limits.weightSources) {
      // One that can't be reached is as good as none.
      guard
        let protected = try? configuration.links.toWorker(options, publicKey: address.publicKey),
        let socket = try? Socket(.dealer, in: context, options: protected)
      else { continue }
      let endpoint = Endpoints.reachable(
        address.endpoint, asSeenFrom: configuration.coordinatorEndpoint)
      guard (try? socket.connect(endpoint)) != nil,
        (try? socket.send(ModelMessage.manifestRequest(request).encode())) != nil
      else { continue }
      givers.append(Giver(socket))
    }
  }

  /// Whether somebody has not yet said what it has.
  var areExpected: Bool { givers.contains { $0.has == nil } }

  /// Asks whoever has the tensor and the least to do.
  ///
  /// - Returns: false when nobody has it.
  func ask(_ request: ChunkRequest) -> Bool {
    while true {
      let able = givers.filter {
        $0.has?.contains(request.tensor) ?? false && $0.underWay.count < chunksMaximum
      }
      guard let giver = able.min(by: { $0.underWay.count < $1.underWay.count }) else {
        return false
      }
      if giver.underWay.isEmpty { giver.heard = Clock.milliseconds }
      guard let frames = try? ModelMessage.chunkRequest(request).encode(),
        (try? giver.socket.send(frames)) != nil
      else {
        lost += drop(giver)
        continue
      }
      giver.underWay.append(request)
      return true
    }
  }

  /// What couldn't even be asked for.
  private var lost: [ChunkRequest] = []

  /// What came, or was lost, since the last time; nil when nothing.
  func next() -> Event? {
    for giver in givers {
      if let event = take(from: giver) { return event }
      let silence = Clock.milliseconds - giver.heard
      if !giver.underWay.isEmpty, silence > silenceMilliseconds { lost += drop(giver) }
    }
    guard !lost.isEmpty else { return nil }
    defer { lost = [] }
    return .lost(lost)
  }

  /// Lets a poller wait for all of them.
  func wait(in poller: inout Poller) {
    for giver in givers { _ = poller.add(giver.socket) }
  }

  private func take(from giver: Giver) -> Event? {
    do {
      guard let frames = try giver.socket.receive() else { return nil }
      giver.heard = Clock.milliseconds
      switch try ModelMessage.decode(frames) {
      case .manifest(let manifest) where giver.has == nil:
        giver.has = Set(try ModelFetch.tensors(of: manifest).map(\.hash.bytes))
        return nil
      case .chunk(let request, let bytes):
        guard let at = giver.underWay.firstIndex(of: request), isSound(bytes, request) else {
          break
        }
        giver.underWay.remove(at: at)
        return .chunk(request, bytes)
      default: break
      }
    } catch {}
    return .lost(drop(giver))
  }

  private func isSound(_ bytes: Frame, _ request: ChunkRequest) -> Bool {
    guard let tensor = expected[request.tensor], tensor.chunks.indices.contains(request.chunk)
    else { return false }
    return bytes.withBytes { ContentHash(of: $0) } == tensor.chunks[request.chunk]
  }

  private func drop(_ giver: Giver) -> [ChunkRequest] {
    givers.removeAll { $0 === giver }
    return giver.underWay
  }
}
