import Imaging
import Messaging
import PaliGemma
import Pipelining
import Tensors
import Tokenization

/// A request ready for an engine, and what is needed to read the engine's completion.
public struct PreparedAnswer: Sendable {
  /// For the engine.
  public let request: PreparedRequest
  /// Extents of the pictures, upright, in pixels.
  public let imageSizes: [ImageSize]
  /// Length of the prefix in tokens.
  public let promptTokens: Int
}

/// Turns encoded pictures and a prompt into pixels and tokens, as the model was trained on them.
public struct RequestPreparation: Sendable {
  /// The model's numbers.
  public let config: ModelConfig
  /// The checkpoint's tokenizer.
  public let tokenizer: Tokenizer
  private let imageLimits: ImageLimits
  private let coordinates: CoordinateTokens?

  /// Prepares for one model.
  public init(config: ModelConfig, tokenizer: Tokenizer, imageLimits: ImageLimits = .standard) {
    self.config = config
    self.tokenizer = tokenizer
    self.imageLimits = imageLimits
    coordinates = CoordinateTokens(tokenizer, endTokens: config.endTokenIDs)
  }

  /// Decodes, resizes and tokenises one request.
  ///
  /// - Throws: `no_image`, `too_many_images`, `invalid_sampling`, `too_many_tokens`,
  ///   `prompt_too_long`, `invalid_prompt`, or one of a broken picture (see `Failure(_:image:)`).
  public func prepare(_ request: AnswerRequest) throws(Failure) -> PreparedAnswer {
    try checkCounts(request)
    let sampling = try checked(request.sampling)
    let layout: PromptLayout
    do {
      layout = try tokenizer.layout(
        prompt: request.prompt, imageCount: request.images.count,
        tokensPerImage: config.imageTokenCount)
    } catch { throw Failure(error) }
    let room = config.text.positionCountMaximum - layout.tokenCount
    guard room >= 1 else {
      throw Failure(
        code: "prompt_too_long",
        message: "pictures and prompt take \(layout.tokenCount) tokens, and the model has "
          + "\(config.text.positionCountMaximum) positions; shorten the prompt or send fewer pictures"
      )
    }
    guard sampling.maximumTokens <= room else {
      throw Failure(
        code: "too_many_tokens",
        message: "\(sampling.maximumTokens) tokens were asked for, and the model has room for "
          + "\(room) behind a prefix of \(layout.tokenCount); lower max_tokens")
    }
    // Pictures last: they cost the most, and a request that fails above costs nothing.
    let (pixels, sizes) = try pixels(of: request.images)
    return PreparedAnswer(
      request: PreparedRequest(
        pixels: pixels, textTokenIDs: layout.textTokenIDs, sampling: sampling,
        handling: request.handling),
      imageSizes: sizes, promptTokens: layout.tokenCount)
  }

  private func checkCounts(_ request: AnswerRequest) throws(Failure) {
    guard !request.images.isEmpty else {
      throw Failure(
        code: "no_image", message: "the request has no picture; PaliGemma answers about pictures")
    }
    guard request.images.count <= MessageLimits.imageCount else {
      throw Failure(
        code: "too_many_images",
        message: "\(request.images.count) pictures; send at most \(MessageLimits.imageCount)")
    }
  }

  /// The sampling with the model's end tokens, after checking that a sampler can use it.
  private func checked(_ sampling: Sampling) throws(Failure) -> Sampling {
    func refuse(_ cause: String) -> Failure { Failure(code: "invalid_sampling", message: cause) }
    guard sampling.temperature.isFinite, sampling.temperature >= 0 else {
      throw refuse("temperature is \(sampling.temperature); give 0 (greedy) or more")
    }
    guard sampling.topP > 0, sampling.topP <= 1 else {
      throw refuse("top_p is \(sampling.topP); give more than 0 and at most 1")
    }
    guard (0...Int(Int32.max)).contains(sampling.topK) else {
      throw refuse("top_k is \(sampling.topK); give 0 (all) or more")
    }
    guard (0...MessageLimits.alternativeCount).contains(sampling.logprobCount) else {
      throw refuse(
        "\(sampling.logprobCount) alternatives a token; at most \(MessageLimits.alternativeCount)")
    }
    guard sampling.maximumTokens >= 1 else {
      throw refuse("max_tokens is \(sampling.maximumTokens); give 1 or more")
    }
    guard sampling.maximumTokens <= MessageLimits.tokenCount else {
      throw Failure(
        code: "too_many_tokens",
        message: "max_tokens is \(sampling.maximumTokens), more than \(MessageLimits.tokenCount)")
    }
    if let grammar = sampling.grammar {
      guard let coordinates, grammar == .detect || coordinates.firstSegment != nil else {
        throw refuse("this model has no <loc> or <seg> tokens; leave the constraint out")
      }
    }
    var sampling = sampling
    sampling.stopTokenIDs = config.endTokenIDs
    sampling.coordinates = coordinates
    return sampling
  }

  /// `[pictures, side, side, 3]` u8, and the extents of the originals.
  private func pixels(
    of images: [EncodedImage]
  ) throws(Failure) -> (pixels: Tensor, sizes: [ImageSize]) {
    let side = config.vision.imageSide
    // At most 64 pictures, and a side of at most 16,384 by the configuration's rules.
    let pixels = Tensor(.u8, shape: [images.count, side, side, 3])
    var sizes: [ImageSize] = []
    for (row, image) in images.enumerated() {
      do {
        let picture = try image.decoded(limits: imageLimits)
        let original = image.originalSize
        // Masks will be made in this extent.
        if let original { try imageLimits.check(width: original.width, height: original.height) }
        sizes.append(original ?? ImageSize(width: picture.width, height: picture.height))
        let resized = try picture.resized(toWidth: side, height: side)
        pixels.rows(row..<row + 1).withBytes { target in
          resized.rgb.withUnsafeBytes { target.copyMemory(from: $0) }
        }
      } catch {
        // By number, not by name: a coordinator doesn't know its clients' file names, and the same
        // batch has the same errors either way.
        throw Failure(error, image: "picture \(row + 1)")
      }
    }
    return (pixels, sizes)
  }
}

extension EncodedImage {
  /// The upright picture.
  func decoded(limits: ImageLimits = .standard) throws(ImagingError) -> Picture {
    try content.withBytes { bytes throws(ImagingError) in
      try Picture.decode(bytes, limits: limits)
    }
  }
}
