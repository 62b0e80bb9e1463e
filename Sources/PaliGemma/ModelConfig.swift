/// The numbers that make a PaliGemma, from `config.json`; immutable. What older files leave out
/// has the default of the reference's configuration classes (numerics.md, Sizes).
public struct ModelConfig: Sendable, Equatable {
  /// Numbers of the SigLIP vision tower.
  public struct Vision: Sendable, Equatable {
    /// Encoder layers.
    public var layerCount: Int
    /// Model width `D`.
    public var width: Int
    /// Attention heads `H`.
    public var headCount: Int
    /// Feed-forward width `F`.
    public var feedForwardWidth: Int
    /// Side of the square input picture in pixels.
    public var imageSide: Int
    /// Side of one square patch in pixels.
    public var patchSide: Int
    /// Epsilon of the LayerNorms.
    public var epsilon: Float

    /// Head width `E`; no multiple of 16 in the published model (72).
    public var headWidth: Int { width / headCount }
    /// Patches of one picture, `P`: 256, 1024 and 4096 for 224, 448 and 896 px.
    public var patchCount: Int { (imageSide / patchSide) * (imageSide / patchSide) }
    /// Inputs of the patch embedding: channels × rows × columns.
    public var patchWidth: Int { 3 * patchSide * patchSide }
  }

  /// Numbers of the Gemma decoder.
  public struct Text: Sendable, Equatable {
    /// Decoder layers.
    public var layerCount: Int
    /// Model width `D`.
    public var width: Int
    /// Query heads `H`.
    public var headCount: Int
    /// Key/value heads `K`, each shared by `H / K` query heads.
    public var keyValueHeadCount: Int
    /// Head width `E`; independent of `D / H`.
    public var headWidth: Int
    /// Feed-forward width `F`.
    public var feedForwardWidth: Int
    /// Rows of the embedding table `V`.
    public var vocabularyCount: Int
    /// Epsilon of the RMSNorms.
    public var epsilon: Float
    /// Base of the rotary position embedding's angles.
    public var ropeTheta: Float
    /// Positions the model was made for.
    public var positionCountMaximum: Int
  }

  /// The vision tower.
  public var vision: Vision
  /// The decoder.
  public var text: Text
  /// Id of `<image>`, the placeholder of one image token.
  public var imageTokenID: Int32
  /// Ids that end an answer.
  public var endTokenIDs: [Int32]
  /// Id of `<bos>`, which starts the text part of a prompt.
  public var beginTokenID: Int32
  /// Id of `<pad>`.
  public var paddingTokenID: Int32

  /// Image tokens one picture takes in the prompt.
  public var imageTokenCount: Int { vision.patchCount }
  /// Bytes of one request's keys and values per position and decoder layer, in f32.
  public var cacheBytesPerPosition: Int { 2 * text.keyValueHeadCount * text.headWidth * 4 }

  /// Names the model's numbers: workers with other ones are told apart by it.
  public var fingerprint: String { ShortName.of("\(self)") }

  /// The first broken rule, or nil when the numbers make a model.
  var brokenRule: String? {
    let extents = [
      vision.layerCount, vision.width, vision.headCount, vision.feedForwardWidth,
      vision.imageSide, vision.patchSide, text.layerCount, text.width, text.headCount,
      text.keyValueHeadCount, text.headWidth, text.feedForwardWidth, text.vocabularyCount,
    ]
    if let bad = extents.first(where: { $0 <= 0 || $0 > 1 << 24 }) {
      return "a size of \(bad) is out of range"
    }
    // Below these bounds no product of sizes overflows, and a list of all weights stays small.
    if let bad = [vision.layerCount, text.layerCount].first(where: { $0 > 1024 }) {
      return "\(bad) layers are out of range"
    }
    if text.headCount * text.headWidth > 1 << 24 {
      return "\(text.headCount) heads of width \(text.headWidth) are out of range"
    }
    if vision.imageSide > 1 << 14 { return "image_size \(vision.imageSide) is too large" }
    if vision.imageSide % vision.patchSide != 0 {
      return "image_size \(vision.imageSide) is no multiple of patch_size \(vision.patchSide)"
    }
    if vision.width % vision.headCount != 0 {
      return "vision hidden_size \(vision.width) is no multiple of \(vision.headCount) heads"
    }
    if text.headCount % text.keyValueHeadCount != 0 {
      return "\(text.headCount) heads can't share \(text.keyValueHeadCount) key/value heads"
    }
    if text.positionCountMaximum <= 0 || text.positionCountMaximum > 1 << 20 {
      return "max_position_embeddings \(text.positionCountMaximum) is out of range"
    }
    if text.headWidth % 2 != 0 { return "head_dim \(text.headWidth) is odd; RoPE turns pairs" }
    if !(vision.epsilon > 0 && text.epsilon > 0 && text.ropeTheta > 0) {
      return "epsilons and rope_theta must be positive"
    }
    return nil
  }
}
