/// What a line's answer is compared by.
///
/// A line's `score` names it; where it has none, a batch's `task` does, which makes the prompt.
public enum ScoreRule: String, Sendable, Hashable, CaseIterable {
  /// Visual questions: VQAv2's accuracy.
  case vqa
  /// The text, nothing else.
  case exact
  /// Questions about charts: relaxed accuracy.
  case chartqa
  /// Questions about documents and scene texts: ANLS.
  case anls
  /// Captions: CIDEr.
  case caption
  /// How many there are: exact, and mean absolute error.
  case count
  /// Boxes: mAP and mean IoU.
  case detect
  /// Masks: mean IoU and mAP.
  case segment
  /// Reading: exact, and ANLS.
  case ocr

  /// All names, for messages.
  public static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

  /// What `references` of such a line look like, for messages.
  var form: String {
    switch self {
    case .vqa, .exact, .chartqa, .anls, .caption, .ocr: #"a text or a list of texts"#
    case .count: "a number"
    case .detect: #"a list of {"label": "cat", "xyxy": [x1, y1, x2, y2]} in pixels"#
    case .segment:
      #"a list of {"label": "cat", "size": [height, width], "counts": COCO's run lengths}"#
    }
  }
}
