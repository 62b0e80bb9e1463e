/// A shape to synthesize a checkpoint in; data, found by name.
public struct SynthesisPreset: Sendable {
  /// The name on the command line.
  public let name: String
  /// What it is good for, in a few words.
  public let summary: String
  /// The shape.
  public let config: ModelConfig

  /// All presets, smallest first.
  public static let all: [SynthesisPreset] = [
    SynthesisPreset(
      name: "tiny", summary: "2 vision and 4 decoder layers of width 64: tests", config: tiny),
    SynthesisPreset(
      name: "demo", summary: "6 vision and 6 decoder layers: the demo model's size", config: demo),
    SynthesisPreset(
      name: "wide",
      summary: "2 vision and 3 decoder layers, 256 image tokens of width 1024: links, not cores",
      config: wide),
    SynthesisPreset(
      name: "paligemma-3b-224", summary: "the published 3B, 256 image tokens",
      config: published(imageSide: 224)),
    SynthesisPreset(
      name: "paligemma-3b-448", summary: "the published 3B, 1024 image tokens",
      config: published(imageSide: 448)),
    SynthesisPreset(
      name: "paligemma-3b-896", summary: "the published 3B, 4096 image tokens",
      config: published(imageSide: 896)),
  ]

  /// The preset of that name.
  public static func named(_ name: String) -> SynthesisPreset? { all.first { $0.name == name } }

  /// SigLIP So400m/14 and Gemma 2B (numerics.md, Sizes).
  private static func published(imageSide: Int) -> ModelConfig {
    ModelConfig(
      vision: ModelConfig.Vision(
        layerCount: 27, width: 1152, headCount: 16, feedForwardWidth: 4304, imageSide: imageSide,
        patchSide: 14, epsilon: 1e-6),
      text: ModelConfig.Text(
        layerCount: 18, width: 2048, headCount: 8, keyValueHeadCount: 1, headWidth: 256,
        feedForwardWidth: 16384, vocabularyCount: 257_216, epsilon: 1e-6, ropeTheta: 10000,
        positionCountMaximum: 8192),
      imageTokenID: 257_152, endTokenIDs: [1], beginTokenID: 2, paddingTokenID: 0)
  }

  private static let tiny = ModelConfig(
    vision: ModelConfig.Vision(
      layerCount: 2, width: 64, headCount: 4, feedForwardWidth: 128, imageSide: 28, patchSide: 14,
      epsilon: 1e-6),
    text: ModelConfig.Text(
      layerCount: 4, width: 64, headCount: 4, keyValueHeadCount: 1, headWidth: 16,
      feedForwardWidth: 128, vocabularyCount: 512, epsilon: 1e-6, ropeTheta: 10000,
      positionCountMaximum: 8192),
    imageTokenID: 511, endTokenIDs: [1], beginTokenID: 2, paddingTokenID: 0)

  /// Few operations for each number that travels between stages: a picture's rows are 1 MB in f32.
  private static let wide = ModelConfig(
    vision: ModelConfig.Vision(
      layerCount: 2, width: 128, headCount: 4, feedForwardWidth: 256, imageSide: 224,
      patchSide: 14, epsilon: 1e-6),
    text: ModelConfig.Text(
      layerCount: 3, width: 1024, headCount: 4, keyValueHeadCount: 1, headWidth: 64,
      feedForwardWidth: 512, vocabularyCount: 1536, epsilon: 1e-6, ropeTheta: 10000,
      positionCountMaximum: 8192),
    imageTokenID: 1535, endTokenIDs: [1], beginTokenID: 2, paddingTokenID: 0)

  private static let demo = ModelConfig(
    vision: ModelConfig.Vision(
      layerCount: 6, width: 128, headCount: 4, feedForwardWidth: 384, imageSide: 112,
      patchSide: 14, epsilon: 1e-6),
    text: ModelConfig.Text(
      layerCount: 6, width: 128, headCount: 4, keyValueHeadCount: 1, headWidth: 32,
      feedForwardWidth: 384, vocabularyCount: 1536, epsilon: 1e-6, ropeTheta: 10000,
      positionCountMaximum: 8192),
    imageTokenID: 1535, endTokenIDs: [1], beginTokenID: 2, paddingTokenID: 0)
}
