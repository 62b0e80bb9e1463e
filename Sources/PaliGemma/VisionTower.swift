import CKernels
import Checkpoints
import Tensors

/// Pixels to rows: the patch convolution, which is a product because patches don't overlap, plus a
/// learned position per patch (SigLIP, Zhai et al. 2023).
struct PatchEmbedding {
  private let config: ModelConfig.Vision
  private let projection: Linear  // vision_tower.vision_model.embeddings.patch_embedding
  private let positions: Tensor  // [P, D] …embeddings.position_embedding.weight

  init(_ names: WeightNames, _ config: ModelConfig.Vision) throws(CheckpointError) {
    self.config = config
    let prefix = "vision_tower.vision_model.embeddings."
    let (width, side) = (config.width, config.patchSide)
    let kernel = try names.floats(prefix + "patch_embedding.weight", width, 3, side, side)
    projection = Linear(
      weight: kernel.reshaped([width, config.patchWidth]),
      bias: try names.floats(prefix + "patch_embedding.bias", width))
    positions = try names.floats(
      prefix + "position_embedding.weight", config.patchCount, width)
  }

  /// pixels `[pictures, side, side, 3]` u8 to `[pictures · P, D]`.
  ///
  /// One f32 product per picture in every precision, so that a picture's rows don't depend on how
  /// many others there are, on any core type of OpenBLAS.
  func callAsFunction(_ pixels: Tensor) -> Tensor {
    let count = config.patchCount
    let out = Tensor(shape: [pixels.rowCount * count, config.width])
    let patches = Tensor(shape: [count, config.patchWidth])
    for picture in 0..<pixels.rowCount {
      pixels.rows(picture..<picture + 1).withBytes { bytes in
        patches.withFloats {
          kernel_patches_u8_f32(
            config.imageSide, config.patchSide,
            bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), $0)
        }
      }
      let rows = projection(patches)
      rows.add(positions)
      _ = rows.convert(into: out.rows(picture * count..<(picture + 1) * count))
    }
    return out
  }
}

/// One SigLIP encoder layer: LayerNorm → attention over all patches of the picture → residual,
/// LayerNorm → GELU feed-forward → residual.
struct VisionLayer {
  private let config: ModelConfig.Vision
  private let norm1: (weight: Tensor, bias: Tensor)  // layer_norm1
  private let qkv: Linear  // self_attn.{q,k,v}_proj, stacked: [3D, D]
  private let output: Linear  // self_attn.out_proj
  private let norm2: (weight: Tensor, bias: Tensor)  // layer_norm2
  private let up: Linear  // mlp.fc1, then GELU
  private let down: Linear  // mlp.fc2

  init(_ names: WeightNames, _ config: ModelConfig.Vision, layer: Int) throws(CheckpointError) {
    self.config = config
    let prefix = "vision_tower.vision_model.encoder.layers.\(layer)."
    let width = config.width
    norm1 = (
      try names.floats(prefix + "layer_norm1.weight", width),
      try names.floats(prefix + "layer_norm1.bias", width)
    )
    let products = VisionProducts(config, layer: layer)
    qkv = try names.linear(products.qkv)
    output = try names.linear(products.output)
    norm2 = (
      try names.floats(prefix + "layer_norm2.weight", width),
      try names.floats(prefix + "layer_norm2.bias", width)
    )
    up = try names.linear(products.up)
    down = try names.linear(products.down)
  }

  /// Adds this layer's work to the residual stream `x` `[pictures · P, D]`, in place.
  func callAsFunction(_ x: Tensor) {
    let normed = x.layerNormalized(
      weight: norm1.weight, bias: norm1.bias, epsilon: config.epsilon)
    output.add(attend(qkv(normed)), to: x)
    let inner = up(
      x.layerNormalized(weight: norm2.weight, bias: norm2.bias, epsilon: config.epsilon))
    down.add(inner, to: x)
  }

  /// qkv `[pictures · P, 3D]` to `[pictures · P, D]`; every patch sees every patch of its picture.
  private func attend(_ qkv: Tensor) -> Tensor {
    let (width, patches, head) = (config.width, config.patchCount, config.headWidth)
    let out = Tensor(shape: [qkv.rowCount, width])
    let scale = 1 / Float(head).squareRoot()
    qkv.withFloats { q in
      out.withFloats { o in
        for picture in 0..<qkv.rowCount / patches {
          let first = q + picture * patches * 3 * width
          kernel_attend_all_f32(
            patches, patches, config.headCount, config.headCount, head, first, 3 * width,
            first + width, first + 2 * width, 3 * width, scale, o + picture * patches * width,
            width)
        }
      }
    }
    return out
  }
}

/// SigLIP's last LayerNorm, then one product with bias to the decoder's width. Image rows are not
/// scaled by √D as text rows are (numerics.md 9).
struct Projector {
  private let norm: (weight: Tensor, bias: Tensor)  // vision_tower…post_layernorm
  private let projection: Linear  // multi_modal_projector.linear
  private let epsilon: Float

  init(_ names: WeightNames, _ config: ModelConfig) throws(CheckpointError) {
    let vision = config.vision.width
    let prefix = "vision_tower.vision_model.post_layernorm."
    norm = (
      try names.floats(prefix + "weight", vision), try names.floats(prefix + "bias", vision)
    )
    projection = try names.linear(.projector(config))
    epsilon = config.vision.epsilon
  }

  /// x `[pictures · P, vision D]` to `[pictures · P, text D]`.
  func callAsFunction(_ x: Tensor) -> Tensor {
    projection(x.layerNormalized(weight: norm.weight, bias: norm.bias, epsilon: epsilon))
  }
}
