import Foundation
import Imaging
import Messaging
import Testing

@testable import Jobs

/// Scores against those of the reference implementations (`scripts/goldens/eval.py`), to a millionth.
@Suite struct EvaluationGoldenTests {
  struct Golden: Decodable {
    struct Case: Decodable {
      let answer: String
      let references: [String]
      let score: Double
    }
    struct VQA: Decodable {
      let normalized: [[String]]
      let cases: [Case]
    }
    enum Words: Decodable {
      case of(String, [String])
      init(from decoder: any Decoder) throws {
        var parts = try decoder.unkeyedContainer()
        self = .of(try parts.decode(String.self), try parts.decode([String].self))
      }
    }
    struct Corpus: Decodable {
      let answers: [String]
      let references: [[String]]
      let score: Double
      let scores: [Double]
    }
    struct Captions: Decodable {
      let words: [Words]
      let corpora: [Corpus]
    }
    struct Boxes: Decodable {
      struct Line: Decodable { let references, answer: [BoxFile] }
      let lines: [Line]
      let mAP, mAP50, mean_iou: Double
    }
    struct Masks: Decodable {
      struct Line: Decodable { let references, answer: [MaskFile] }
      let lines: [Line]
      let mAP, mean_iou, mean_iou_of_labels: Double
    }
    let vqa: VQA
    let chartqa, anls: [Case]
    let captions: Captions
    let detect: [Boxes]
    let segment: [Masks]
  }

  let golden: Golden

  init() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Fixtures/evaluation.json")
    golden = try JSONDecoder().decode(Golden.self, from: Data(contentsOf: file))
  }

  private func isNear(_ one: Double?, _ two: Double) -> Bool {
    one.map { abs($0 - two) <= 1e-6 } ?? false
  }

  @Test func answersAreNormalizedAsVQAv2Does() {
    #expect(golden.vqa.normalized.count >= 50)
    for pair in golden.vqa.normalized {
      #expect(VQAAccuracy.normalized(pair[0]) == pair[1], "\(pair[0])")
    }
  }

  @Test func accuracyIsVQAv2s() {
    #expect(golden.vqa.cases.count >= 150)
    #expect(golden.vqa.cases.contains { $0.score > 0 && $0.score < 1 })
    for item in golden.vqa.cases {
      let score = VQAAccuracy.score(item.answer, references: item.references)
      #expect(isNear(score, item.score), "\(item): \(score)")
    }
  }

  /// With fewer than four, agreement of all others is enough; one annotator has to be met.
  @Test func fewAnnotatorsAreEnough() {
    #expect(VQAAccuracy.score("The Dog.", references: ["dog"]) == 1)
    #expect(VQAAccuracy.score("cat", references: ["dog"]) == 0)
    #expect(VQAAccuracy.score("dog", references: ["dog", "dog"]) == 1)
    #expect(VQAAccuracy.score("dog", references: ["dog", "cat"]) == 0.5)
    #expect(VQAAccuracy.score("dog", references: ["dog", "dog", "dog"]) == 1)
    #expect(VQAAccuracy.score("dog", references: []) == 0)
  }

  @Test func relaxedAccuracyIsChartQAs() {
    #expect(golden.chartqa.count >= 40)
    for item in golden.chartqa {
      let score = TextScores.relaxed(item.answer, references: item.references)
      #expect(score == item.score, "\(item)")
    }
  }

  @Test func anlsIsThePackages() {
    #expect(golden.anls.count >= 20)
    for item in golden.anls {
      let score = TextScores.anls(item.answer, references: item.references)
      #expect(isNear(score, item.score), "\(item): \(score)")
    }
  }

  @Test func captionsHaveTheWordsOfTheTreebankTokenizer() {
    #expect(golden.captions.words.count >= 60)
    for case .of(let caption, let words) in golden.captions.words {
      #expect(CaptionTokenizer.words(of: caption) == words, "\(caption)")
    }
  }

  @Test func ciderIsPycocoevalcaps() {
    #expect(golden.captions.corpora.count == 3)
    for corpus in golden.captions.corpora {
      var cider = CIDEr()
      for (answer, references) in zip(corpus.answers, corpus.references) {
        let isTaken = cider.add(answer, references: references)
        #expect(isTaken)
      }
      #expect(isNear(cider.score(), corpus.score))
      for (score, expected) in zip(cider.lineScores(), corpus.scores) {
        #expect(isNear(score, expected), "\(score) \(expected)")
      }
    }
    #expect(CIDEr().score() == nil)
  }

  @Test func averagePrecisionIsPycocotools() throws {
    for item in golden.detect {
      var score = DetectionScore()
      // Answers come in any order; the file's counts.
      for (place, line) in item.lines.enumerated().reversed() {
        score.add(
          line: place, answer: try line.answer.map { try #require($0.box) },
          references: try line.references.map { try #require($0.box) })
      }
      #expect(isNear(score.meanAveragePrecision, item.mAP), "\(item.mAP)")
      #expect(isNear(score.meanAveragePrecision50, item.mAP50), "\(item.mAP50)")
      #expect(isNear(score.meanOverlap, item.mean_iou), "\(item.mean_iou)")
      #expect(item.mAP > 0.03 && item.mAP < item.mAP50 && item.mAP50 < 0.95)
    }
  }

  @Test func masksScoreAsPycocotoolsAndNumpySay() throws {
    for item in golden.segment {
      var score = SegmentationScore()
      for (place, line) in item.lines.enumerated() {
        score.add(
          line: place, answer: try line.answer.map { try $0.mask() },
          references: try line.references.map { try $0.mask() })
      }
      #expect(isNear(score.meanAveragePrecision, item.mAP), "\(item.mAP)")
      #expect(isNear(score.meanOverlap, item.mean_iou), "\(item.mean_iou)")
      #expect(isNear(score.meanOverlapOfLabels, item.mean_iou_of_labels))
      #expect(score.otherSizeCount == 0 && item.mAP > 0.05 && item.mAP < 0.95)
    }
  }
}
