import Messaging
import Tensors

/// Follows the boxes of one answer token by token: which tokens keep the form of the task, and whether
/// the answer goes round in boxes it has had.
///
/// A function of the answer's own tokens, so it is the same on any cut and when it is replayed.
struct AnswerForm {
  /// Where the answer is, as far as its grammar is concerned.
  private enum Place: Equatable {
    case start
    case locations(Int)
    case segments(Int)
    case label(hasText: Bool)
    case separated(hasBlank: Bool)
  }

  private static let locationsPerBox = 4
  private static let segmentsPerMask = 16
  /// An answer that repeats so many boxes in a row has nothing more to say. One repeated box is no
  /// proof, and a round of several boxes is found at its third of the second time.
  private static let repeatsMaximum = 3

  private let tokens: CoordinateTokens
  private let grammar: Grammar?
  private let stopsRepetition: Bool
  private let endTokens: [Int32]
  private var place = Place.start
  /// The box being written: coordinates and label without separators and blanks.
  private var item: [Int32] = []
  private var seen: Set<[Int32]> = []
  private var repeats = 0

  /// The form of answers with this sampling; nil when there is nothing to follow.
  init?(_ sampling: Sampling) {
    guard let tokens = sampling.coordinates, sampling.grammar != nil || sampling.stopsRepetition
    else { return nil }
    self.tokens = tokens
    grammar = sampling.grammar
    stopsRepetition = sampling.stopsRepetition
    endTokens = sampling.stopTokenIDs
  }

  /// Takes note of the token that was chosen.
  ///
  /// - Returns: whether the answer goes round in its boxes.
  mutating func advance(_ token: Int32) -> Bool {
    place = next(token)
    guard stopsRepetition else { return false }
    let isSeparator = tokens.separators.contains(token)
    let isLocation = tokens.isLocation(token)
    let isWhole =
      item.count >= Self.locationsPerBox || item.contains { !tokens.isLocation($0) }
    if isSeparator || (isLocation && isWhole) { closeItem() }
    if !isSeparator && !tokens.blanks.contains(token) { item.append(token) }
    return repeats >= Self.repeatsMaximum
  }

  private mutating func closeItem() {
    defer { item = [] }
    // Text without a box may repeat itself as it likes: "no ; no" is no detection.
    guard item.contains(where: tokens.isLocation) else { return }
    repeats = seen.insert(item).inserted ? 0 : repeats + 1
  }

  private func next(_ token: Int32) -> Place {
    if tokens.isLocation(token) {
      let count = if case .locations(let count) = place { count + 1 } else { 1 }
      guard count == Self.locationsPerBox else { return .locations(count) }
      return grammar == .segment ? .segments(0) : .label(hasText: false)
    }
    if tokens.isSegment(token), case .segments(let count) = place {
      return count + 1 == Self.segmentsPerMask ? .label(hasText: false) : .segments(count + 1)
    }
    if tokens.separators.contains(token) { return .separated(hasBlank: false) }
    let isBlank = tokens.blanks.contains(token)
    switch place {
    case .separated where isBlank: return .separated(hasBlank: true)
    case .label(let hasText): return .label(hasText: hasText || !isBlank)
    default: return place
    }
  }

  /// Takes the tokens that would break the form out of the running: −∞.
  ///
  /// - Parameter logits: `[1, V]`, changed in place; log-probabilities are then those of the rest.
  func mask(_ logits: Tensor) {
    guard grammar != nil else { return }
    logits.withFloats { pointer in
      let row = UnsafeMutableBufferPointer(start: pointer, count: logits.count)
      switch place {
      case .start: keep(row, ranges: [locations], ids: endTokens)
      case .locations: keep(row, ranges: [locations], ids: [])
      case .segments: keep(row, ranges: [segments], ids: [])
      case .separated(let hasBlank):
        keep(row, ranges: [locations], ids: hasBlank ? [] : tokens.blanks)
      case .label(let hasText): keepText(row, canEnd: hasText)
      }
    }
  }

  private var locations: Range<Int> {
    Int(tokens.firstLocation)..<Int(tokens.firstLocation + CoordinateTokens.locationCount)
  }

  private var segments: Range<Int> {
    guard let first = tokens.firstSegment else { return 0..<0 }
    return Int(first)..<Int(first + CoordinateTokens.segmentCount)
  }

  private func keep(
    _ row: UnsafeMutableBufferPointer<Float>, ranges: [Range<Int>], ids: [Int32]
  ) {
    let kept =
      ranges.flatMap { $0.clamped(to: row.indices).map { ($0, row[$0]) } }
      + ids.map(Int.init).filter(row.indices.contains).map { ($0, row[$0]) }
    row.update(repeating: -.infinity)
    for (id, value) in kept { row[id] = value }
  }

  private func keepText(_ row: UnsafeMutableBufferPointer<Float>, canEnd: Bool) {
    func drop(_ ids: some Sequence<Int>) {
      for id in ids where row.indices.contains(id) { row[id] = -.infinity }
    }
    drop(locations)
    drop(segments)
    drop(tokens.forbidden.map(Int.init))
    drop(min(tokens.vocabularyCount, row.count)..<row.count)
    if !canEnd { drop((tokens.separators + endTokens).map(Int.init)) }
  }
}
