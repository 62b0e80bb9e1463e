import Foundation

/// CIDEr of a corpus of captions, as `pycocoevalcap` computes it: CIDEr-D with n-grams of 1 to 4 words
/// and σ = 6 (arXiv 1411.5726).
///
/// Each n-gram is weighed by the number of lines whose references have it, so all captions are held
/// until the score is asked for.
struct CIDEr {
  /// Words of the captions held.
  private(set) var wordCount = 0
  private var numbers: [String: Int32] = [:]
  private var lines: [Line] = []

  private struct Line {
    let answer: [Int32]
    let references: [[Int32]]
  }

  /// Adds one line.
  ///
  /// - Parameters:
  ///   - answer: the caption to be scored; "" for a line without an answer.
  ///   - references: at least one.
  /// - Returns: false, and nothing added, when the corpus has no room for it.
  mutating func add(_ answer: String, references: [String]) -> Bool {
    let answer = CaptionTokenizer.words(of: answer)
    let references = references.map(CaptionTokenizer.words(of:))
    let count = references.reduce(answer.count) { $0 + $1.count }
    guard wordCount + count <= EvaluationLimits.captionWordCount else { return false }
    wordCount += count
    lines.append(Line(answer: number(answer), references: references.map { number($0) }))
    return true
  }

  private mutating func number(_ words: [String]) -> [Int32] {
    words.map { word in
      if let number = numbers[word] { return number }
      let number = Int32(numbers.count)
      numbers[word] = number
      return number
    }
  }

  /// The mean over all lines, 0 to 10; nil without lines.
  func score() -> Double? {
    let scores = lineScores()
    return scores.isEmpty ? nil : scores.reduce(0, +) / Double(scores.count)
  }

  /// The score of each line, in the order in which they were added.
  func lineScores() -> [Double] {
    var documentFrequency: [Ngram: Int32] = [:]
    for line in lines {
      for ngram in Set(line.references.flatMap { Self.ngrams($0).map(\.ngram) }) {
        documentFrequency[ngram, default: 0] += 1
      }
    }
    let logLineCount = log(Double(lines.count))
    return lines.map { line in
      let answer = Vector(line.answer, documentFrequency, logLineCount)
      let sum = line.references.reduce(0.0) { sum, reference in
        sum + answer.similarity(to: Vector(reference, documentFrequency, logLineCount))
      }
      return 10 * sum / Double(Self.lengthMaximum) / Double(line.references.count)
    }
  }

  /// Up to four words, packed; -1 where there are fewer.
  private typealias Ngram = SIMD4<Int32>
  private static let lengthMaximum = 4

  /// Each n-gram once, in the order of the text: sums over a dictionary would differ in their last bit
  /// from run to run.
  private static func ngrams(_ words: [Int32]) -> [(ngram: Ngram, count: Int)] {
    var places: [Ngram: Int] = [:]
    var counted: [(ngram: Ngram, count: Int)] = []
    for start in words.indices {
      var ngram = Ngram(repeating: -1)
      for length in 0..<min(lengthMaximum, words.count - start) {
        ngram[length] = words[start + length]
        if let place = places[ngram] {
          counted[place].count += 1
        } else {
          places[ngram] = counted.count
          counted.append((ngram, 1))
        }
      }
    }
    return counted
  }

  private static func length(_ ngram: Ngram) -> Int {
    (0..<lengthMaximum).last { ngram[$0] >= 0 } ?? 0
  }

  /// A caption's n-grams with their weights.
  private struct Vector {
    private var weights: [Ngram: Double] = [:]
    private var order: [Ngram] = []
    private var squares = [Double](repeating: 0, count: lengthMaximum)
    /// The number of word pairs: what the reference implementation calls the length.
    private var pairCount = 0

    init(_ words: [Int32], _ documentFrequency: [Ngram: Int32], _ logLineCount: Double) {
      for (ngram, count) in CIDEr.ngrams(words) {
        let length = CIDEr.length(ngram)
        let frequency = log(Double(max(1, documentFrequency[ngram] ?? 0)))
        let weight = Double(count) * (logLineCount - frequency)
        weights[ngram] = weight
        order.append(ngram)
        squares[length] += weight * weight
        if length == 1 { pairCount += count }
      }
    }

    /// The sum of the similarities for each length of n-gram: cosines of the weights, the answer's
    /// weight clipped to the reference's, and less for a different length.
    func similarity(to reference: Vector) -> Double {
      var products = [Double](repeating: 0, count: lengthMaximum)
      for ngram in order {
        guard let weight = weights[ngram], let other = reference.weights[ngram] else { continue }
        products[CIDEr.length(ngram)] += min(weight, other) * other
      }
      let difference = Double(pairCount - reference.pairCount)
      let penalty = exp(-difference * difference / (2 * 6 * 6))
      return products.indices.reduce(0) { sum, length in
        let norm = squares[length].squareRoot() * reference.squares[length].squareRoot()
        return sum + (norm > 0 ? products[length] / norm : products[length]) * penalty
      }
    }
  }
}
