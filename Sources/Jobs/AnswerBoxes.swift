import Imaging
import Messaging
import PaliGemma
import Tokenization

/// Reads an answer's tokens as boxes and masks in pixels of a picture, and reports what keeps to no
/// form.
struct AnswerBoxes {
  /// Every well-formed box, as often as the model wrote it.
  private(set) var boxes: [Box] = []
  /// Everything else; empty for an answer without `<loc>` tokens, which is text.
  private(set) var malformed: [MalformedText] = []

  /// Reads the answer `ids`.
  ///
  /// - Parameters:
  ///   - ids: the answer's tokens.
  ///   - size: of the picture that the boxes are in.
  ///   - tokenizer: of the model.
  ///   - decoder: makes masks of code words; nil leaves them as they are.
  init(_ ids: [Int32], in size: ImageSize, tokenizer: Tokenizer, decoder: MaskDecoder?) {
    guard let detections = DetectionParser.parse(ids: ids, tokenizer: tokenizer) else { return }
    malformed = detections.malformed.prefix(MessageLimits.boxCount).map {
      MalformedText(reason: $0.reason.word, text: $0.text)
    }
    var painter = MaskPainter(decoder: decoder, size: size)
    boxes = detections.boxes.prefix(MessageLimits.boxCount).map { box in
      let pixels = box.xyxy(width: size.width, height: size.height)
      return Box(
        label: box.label, x1: pixels.x1, y1: pixels.y1, x2: pixels.x2, y2: pixels.y2,
        isRepeat: box.isRepeat, segments: (box.segments ?? []).compactMap { UInt8(exactly: $0) },
        mask: painter.mask(of: box)?.cocoString ?? "")
    }
  }
}

/// Makes masks of code words, within what one answer may cost.
private struct MaskPainter {
  let decoder: MaskDecoder?
  let size: ImageSize
  private var maskCount = 0
  private var pixelCount = 0
  private var known: [[Int]: [Float]] = [:]

  init(decoder: MaskDecoder?, size: ImageSize) {
    self.decoder = decoder
    self.size = size
  }

  /// The mask of `box` in the whole picture; nil without decoder or code words, or when the answer has
  /// had its share of masks.
  ///
  /// The rectangle's edges are rounded as big_vision's demo rounds them; one whose edges are in the
  /// wrong order has an empty mask, as there.
  mutating func mask(of box: DetectedBox) -> RunLengthMask? {
    guard let decoder, let codes = box.segments, maskCount < JobLimits.maskCount else { return nil }
    func pixel(_ index: Int, _ size: Int) -> Int {
      Int((Double(box.yxyx[index]) / 1024 * Double(size)).rounded(.toNearestOrEven))
    }
    let (top, left) = (pixel(0, size.height), pixel(1, size.width))
    let (bottom, right) = (pixel(2, size.height), pixel(3, size.width))
    pixelCount += max(0, bottom - top) * max(0, right - left)
    guard pixelCount <= JobLimits.maskPixelCount, let scores = known[codes] ?? decoder.scores(codes)
    else { return nil }
    known[codes] = scores
    maskCount += 1
    return try? RunLengthMask(
      scores: scores, scoreWidth: MaskDecoder.side, scoreHeight: MaskDecoder.side, left: left,
      top: top, right: right, bottom: bottom, width: size.width, height: size.height)
  }
}

extension Answer {
  /// The mask of one of the answer's boxes, in pixels of the first picture; nil when it has none.
  public func mask(of box: Box) -> RunLengthMask? {
    guard !box.mask.isEmpty, let size = imageSizes.first else { return nil }
    return try? RunLengthMask(cocoString: box.mask, width: size.width, height: size.height)
  }

  /// How many boxes are the same as an earlier one.
  public var repeatCount: Int { boxes.count { $0.isRepeat } }
}
