import Messaging
import Pipelining

/// Serves a coordinator's clients: each request they send is answered once, or refused as busy.
public actor ClientService {
  private struct Key: Hashable {
    let peer: PeerIdentity
    let tag: UInt64
  }

  private let coordinator: Coordinator
  private let handler: ClientRequestHandler
  private let requestCountMaximum: Int
  private var underWay: [Key: Task<Void, Never>] = [:]

  /// Answers `coordinator`'s clients with `service`, at most `requestCountMaximum` at once.
  public init(coordinator: Coordinator, service: any AnswerService, requestCountMaximum: Int) {
    self.coordinator = coordinator
    self.requestCountMaximum = requestCountMaximum
    handler = ClientRequestHandler(service: service, model: coordinator.model)
  }

  /// Works until the coordinator ends.
  public func run() async {
    for await event in coordinator.clients {
      switch event {
      case .message(.submit(let submit), let peer): accept(submit, from: peer)
      case .message(.cancel(let tag), let peer): underWay[Key(peer: peer, tag: tag)]?.cancel()
      // The coordinator's own thread answers these.
      case .message(.status, _), .message(.trace, _), .message(.order, _): break
      case .gone(let peer):
        for (key, task) in underWay where key.peer == peer { task.cancel() }
      }
    }
    for task in underWay.values { task.cancel() }
  }

  private func accept(_ submit: Submit, from peer: PeerIdentity) {
    let key = Key(peer: peer, tag: submit.tag)
    guard underWay.count < requestCountMaximum, underWay[key] == nil else {
      _ = coordinator.reply(.reply(Reply(tag: submit.tag, isBusy: true)), to: peer)
      return
    }
    underWay[key] = Task {
      let reply = await handler.reply(to: submit)
      finish(key, with: reply)
    }
  }

  private func finish(_ key: Key, with reply: Reply) {
    underWay[key] = nil
    // Room for every request under way is in the mailbox, so a refusal means the loop has ended.
    _ = coordinator.reply(.reply(reply), to: key.peer)
  }
}
