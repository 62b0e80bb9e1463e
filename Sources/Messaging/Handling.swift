/// How a request is treated, beside what it asks: whom it overtakes, with whom it shares its turn,
/// and until when anybody waits for it.
public struct Handling: Sendable, Equatable {
  /// Who goes first.
  public enum Priority: UInt32, Sendable, CaseIterable {
    /// Somebody waits: goes in front of all batch work.
    case interactive = 0
    /// Part of a large job: fills what is left.
    case batch = 1
  }

  /// Whether it overtakes batch work.
  public var priority: Priority
  /// Requests of one job take one turn together, so that jobs of equal priority share fairly
  /// however many requests each of them has waiting; "" is a job like any other.
  public var job: String
  /// Ends the request with `deadline_exceeded` when it has no answer so long after it was submitted.
  public var deadline: Duration?
  /// The model that has to answer: another one refuses it with `model_changed`; nil for any.
  public var model: ModelIdentity?

  /// Interactive, without a deadline, unless told otherwise.
  public init(
    priority: Priority = .interactive, job: String = "", deadline: Duration? = nil,
    model: ModelIdentity? = nil
  ) {
    self.priority = priority
    self.job = job
    self.deadline = deadline
    self.model = model
  }
}
