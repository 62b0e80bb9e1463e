/// What the holder of a key may be in a cluster.
public enum LinkRole: String, Sendable, CaseIterable {
  /// Tells everybody what to do.
  case coordinator
  /// Runs a stage.
  case worker
  /// Asks: `batch`, `eval`, `status` and the like.
  case client
}

/// A socket that others connect to, and who may.
///
/// The raw value is the socket's ZAP domain.
public enum Door: String, Sendable, CaseIterable {
  /// The coordinator's, for workers and clients.
  case control
  /// The coordinator's, for tokens of the last stage.
  case results
  /// A worker's, for micro-batches and tokens.
  case data
  /// The coordinator's, for workers that have no files of the model.
  case model

  /// Who may come through.
  public var roles: Set<LinkRole> {
    switch self {
    case .control: [.worker, .client]
    case .results, .model: [.worker]
    case .data: [.coordinator, .worker]
    }
  }
}

/// Who sent a message, as far as that is known.
public enum Sender: Sendable, Equatable {
  /// Nobody who may come through this door (any more).
  case stranger
  /// The holder of a key.
  case known(LinkRole, name: String)
  /// Without keys nobody is told from anybody.
  case unchecked

  /// Whether a message that only `role` may send is to be believed.
  public func mayBe(_ role: LinkRole) -> Bool {
    switch self {
    case .stranger: false
    case .known(let own, _): own == role
    case .unchecked: true
    }
  }
}
