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
    let out = Tensor(rows: pixels.rowCount * count, width: config.width)
    let patches = Tensor(rows: count, width: config.patchWidth)
    for picture in 0..<pixels.rowCount {
      pixels.rows(picture..<picture + 1).withBytes { bytes in
        patches.withFloats {
          kernel_patches_u8_f32(
            config.imageSide, config.patchSide,
            bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), $0)
        }
      }
      let rows = out.rows(picture * count..<(picture + 1) * count)
      projection(patches, into: rows)
      rows.add(positions)
    }
    return out
  }
}

/// One SigLIP encoder layer: LayerNorm → attention over all patches of the picture → residual,
/// LayerNorm → GELU feed-forward → residual.
struct VisionLayer {
  private let config: ModelConfig.Vision
  private let norm1: Norm  // layer_norm1
  private let qkv: Linear  // self_attn.{q,k,v}_proj, stacked: [3D, D]
  private let output: Linear  // self_attn.out_proj
  private let norm2: Norm  // layer_norm2
  private let up: Linear  // mlp.fc1, then GELU
  private let down: Linear  // mlp.fc2

  init(_ names: WeightNames, _ config: ModelConfig.Vision, layer: Int) throws(CheckpointError) {
    self.config = config
    let prefix = "vision_tower.vision_model.encoder.layers.\(layer)."
    norm1 = try names.layerNorm(prefix + "layer_norm1.", config)
    norm2 = try names.layerNorm(prefix + "layer_norm2.", config)
    let products = VisionProducts(config, layer: layer)
    qkv = try names.linear(products.qkv)
    output = try names.linear(products.output)
    up = try names.linear(products.up)
    down = try names.linear(products.down)
  }

  /// Adds this layer's work to the residual stream `x` `[pictures · P, D]`, in place; `scratch` has room
  /// for its rows.
  func callAsFunction(_ x: Tensor, scratch: LayerScratch) {
    qkv(x, after: norm1, into: scratch.projected)
    attend(scratch.projected, into: scratch.attended)
    output.add(scratch.attended, to: x)
    up(x, after: norm2, into: scratch.inner)
    down.add(scratch.inner, to: x)
  }

  /// qkv `[pictures · P, 3D]` to `out` `[pictures · P, D]`; every patch sees every patch of its picture.
  private func attend(_ qkv: Tensor, into out: Tensor) {
    let (width, patches, head) = (config.width, config.patchCount, config.headWidth)
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
  }
}

/// SigLIP's last LayerNorm, then one product with bias to the decoder's width. Image rows are not
/// scaled by √D as text rows are (numerics.md 9).
struct Projector {
  private let norm: Norm  // vision_tower…post_layernorm
  private let projection: Linear  // multi_modal_projector.linear

  init(_ names: WeightNames, _ config: ModelConfig) throws(CheckpointError) {
    norm = try names.layerNorm("vision_tower.vision_model.post_layernorm.", config.vision)
    projection = try names.linear(.projector(config))
  }

  /// x `[pictures · P, vision D]` to `[pictures · P, text D]`.
  func callAsFunction(_ x: Tensor) -> Tensor {
    projection(x, after: norm)
  }
}
