/// Bounds on what a tokenizer reads; each is checked before memory is taken for it.
public struct TokenizerLimits: Equatable, Sendable {
  /// UTF-8 bytes of one text to encode.
  ///
  /// 64 KiB is some 16,000 English tokens: more than any prompt. Above 1 MiB the C layer stops.
  public var promptByteCount: Int
  /// Text tokens of one prompt, `<bos>` and newline included; PaliGemma was trained with 128 to 512.
  public var promptTokenCount: Int
  /// Image and text tokens of one prompt; Gemma's positions end at 8192.
  public var sequenceTokenCount: Int
  /// Bytes of one JSON file; Gemma's largest, `tokenizer.json`, has 17 to 33 MB.
  public var fileByteCount: Int
  /// Added tokens of one folder; PaliGemma has some 1,500.
  public var addedTokenCount: Int

  /// Bounds that fit every PaliGemma checkpoint.
  public init(
    promptByteCount: Int = 64 << 10,
    promptTokenCount: Int = 4096,
    sequenceTokenCount: Int = 8192,
    fileByteCount: Int = 64 << 20,
    addedTokenCount: Int = 16384
  ) {
    self.promptByteCount = promptByteCount
    self.promptTokenCount = promptTokenCount
    self.sequenceTokenCount = sequenceTokenCount
    self.fileByteCount = fileByteCount
    self.addedTokenCount = addedTokenCount
  }
}
