/// What requests have lately been like: what plans by measurement are made for.
///
/// A batch of captions and one of one-word answers want different cuts: the head and the decoder's last
/// layers weigh with every token, the vision tower once a picture.
public struct RequestMix: Sendable, Equatable {
  /// Tokens of a prompt, without the pictures'; the mean.
  public private(set) var promptTokens: Double
  /// Tokens of an answer; the mean.
  public private(set) var answerTokens: Double
  /// Answers that were counted.
  public private(set) var count = 0

  /// Answers after which one more weighs no less: the mean follows within a few hundred answers.
  private static let memory = 256
  /// Answers before anything is believed: as many as were under way in a small cluster.
  private static let countAtLeast = 64
  /// How far a mean has to be from what plans are made for: costs are known to a tenth, and a plan has to
  /// gain a fifth to be taken.
  private static let shareApart = 1.25

  /// What is taken for granted before there are answers.
  public init(promptTokens: Double, answerTokens: Double) {
    (self.promptTokens, self.answerTokens) = (promptTokens, answerTokens)
  }

  /// What is taken for granted by plans that know no answers.
  init(_ workload: Workload = Workload()) {
    self.init(promptTokens: workload.promptTokens, answerTokens: workload.answerTokens)
  }

  /// Counts an answer.
  mutating func add(promptTokens: Int, answerTokens: Int) {
    count += 1
    let share = 1 / Double(min(count, Self.memory))
    self.promptTokens += share * (Double(promptTokens) - self.promptTokens)
    self.answerTokens += share * (Double(answerTokens) - self.answerTokens)
  }

  /// Whether plans that were made for `other` should be looked at again. `imageRows` are those of a
  /// picture, beside which those of a prompt may be few.
  func isApart(from other: RequestMix, imageRows: Int) -> Bool {
    func isApart(_ own: Double, _ other: Double) -> Bool {
      max(own, other) > Self.shareApart * min(own, other)
    }
    let rows = Double(imageRows)
    return count >= Self.countAtLeast
      && (isApart(max(1, answerTokens), max(1, other.answerTokens))
        || isApart(rows + promptTokens, rows + other.promptTokens))
  }
}
