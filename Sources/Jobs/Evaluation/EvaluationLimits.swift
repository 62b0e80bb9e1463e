/// Every maximum of scoring, with its reason.
public enum EvaluationLimits {
  /// Lines of one file of references.
  ///
  /// Of each its name and place in the file are held, about 100 bytes: 200 MB. The largest public set
  /// (VQAv2's test questions) has 447,793.
  public static let lineCount = 2_000_000
  /// References of one line; VQAv2 has 10, COCO's most crowded picture 93 boxes.
  static let referenceCount = 4096
  /// Bytes of one reference's text, and of an answer that is compared with it.
  ///
  /// ANLS costs their product: 16 million steps, some hundredths of a second. A longer answer is
  /// compared as far as this.
  static let textByteCount = 4096
  /// Words of all reference captions and answers of the `caption` lines.
  ///
  /// CIDEr weighs an n-gram by how many of *all* lines have it, so the captions have to be held until
  /// the last is read: 4 bytes a word, and up to four n-grams a word at about 40 bytes. 4 million words
  /// are 650 MB at worst. COCO's validation captions (40,504 pictures, five each) have 2.2 million.
  static let captionWordCount = 4_000_000
  /// Boxes of one line and label that count for mAP, the first ones: COCO's `maxDets`.
  static let detectionCount = 100
  /// Wrong lines that a message shows; it counts the others.
  static let shownProblems = 5
}
