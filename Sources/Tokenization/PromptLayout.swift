/// The tokens of one prompt: `<image>` × N × images, `<bos>`, the prompt and "\n".
///
/// The image tokens are only counted: their ids never reach the model, whose embeddings stand there.
public struct PromptLayout: Equatable, Sendable {
  /// Image tokens at the front: (size / 14)² for each image.
  public let imageTokenCount: Int
  /// `<bos>`, then the prompt and its newline, encoded as one text.
  public let textTokenIDs: [TokenID]
  /// Length of the whole prefix.
  public var tokenCount: Int { imageTokenCount + textTokenIDs.count }
}

extension Tokenizer {
  /// Lays out one prompt as PaliGemma was trained on it.
  ///
  /// The newline ends the prompt and is encoded together with it, so that a prompt ending in "\n"
  /// gets the token for two; nothing is stripped (`processing_paligemma.py` of transformers 5).
  ///
  /// - Parameters:
  ///   - prompt: The user's text.
  ///   - imageCount: Pictures of this request, all in front of the text.
  ///   - tokensPerImage: (size / 14)².
  /// - Returns: The counts and ids; `limits` are kept.
  /// - Throws: `prompt_too_long` with figures, or `invalid_layout` for impossible counts.
  public func layout(
    prompt: String,
    imageCount: Int,
    tokensPerImage: Int
  ) throws(TokenizerError) -> PromptLayout {
    let (imageTokenCount, overflow) = imageCount.multipliedReportingOverflow(by: tokensPerImage)
    guard imageCount >= 0, tokensPerImage > 0, !overflow else {
      throw TokenizerError(
        .invalidLayout,
        "\(imageCount) images of \(tokensPerImage) tokens",
        remedy: "Give a count of images from 0, and the model's own tokens per image"
      )
    }
    let ids = [bosTokenID] + (try encode(prompt + "\n"))
    guard ids.count <= limits.promptTokenCount else {
      throw tooLong("the text has \(ids.count) tokens, \(limits.promptTokenCount) are allowed")
    }
    guard imageTokenCount <= limits.sequenceTokenCount - ids.count else {
      throw tooLong(
        "\(imageTokenCount) image and \(ids.count) text tokens exceed \(limits.sequenceTokenCount)"
      )
    }
    return PromptLayout(imageTokenCount: imageTokenCount, textTokenIDs: ids)
  }

  private func tooLong(_ cause: String) -> TokenizerError {
    TokenizerError(.promptTooLong, cause, remedy: "Shorten the prompt or send fewer images")
  }
}
