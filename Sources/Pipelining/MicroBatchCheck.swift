import Messaging
import PaliGemma
import Tensors

/// Whether a micro-batch that came in fits the stage it came to: a message is input, not truth.
struct MicroBatchCheck {
  let section: ModelSection
  let limits: Limits

  func check(_ batch: MicroBatch) throws(Failure) {
    let config = section.config
    var (rows, pictures, decodes) = (0, 0, 0)
    for segment in batch.segments {
      let isPrefill = segment.phase == .prefill
      let imageRows = segment.imageCount * config.imageTokenCount
      if isPrefill {
        try require(segment.rowCount > imageRows, "a prefix of \(segment.rowCount) rows")
        try require(
          segment.capacity >= segment.rowCount
            && segment.capacity <= config.text.positionCountMaximum,
          "a cache of \(segment.capacity) positions")
      } else {
        decodes += 1
        try require(segment.imageCount == 0, "pictures in a decode step")
      }
      if section.takesTokens {
        try require(
          segment.tokenIDs.count == segment.rowCount - imageRows,
          "\(segment.tokenIDs.count) tokens for \(segment.rowCount) rows")
        try require(
          segment.tokenIDs.allSatisfy { $0 >= 0 && Int($0) < config.text.vocabularyCount },
          "a token outside the vocabulary of \(config.text.vocabularyCount)")
      }
      rows += segment.rowCount
      pictures += segment.imageCount
    }
    try require(decodes == 0 || decodes == batch.segments.count, "prefill and decode mixed")
    let isAtEmbedding = section.blocks.lowerBound <= config.tokenEmbeddingIndex
    if isAtEmbedding && decodes > 0 {
      try require(batch.tensor == nil && section.takesTokens, "rows where tokens are expected")
    } else {
      try require(
        batch.tensor?.shape == shape(rows: rows, pictures: pictures)
          && batch.tensor?.elementType == (section.takesPixels ? .u8 : .f32),
        "a tensor of shape \(batch.tensor?.shape ?? [])")
    }
  }

  /// The shape the input must have, by where in the chain the section starts.
  private func shape(rows: Int, pictures: Int) -> [Int] {
    let (config, start) = (section.config, section.blocks.lowerBound)
    if start == 0 { return [pictures, config.vision.imageSide, config.vision.imageSide, 3] }
    if start < config.tokenEmbeddingIndex {
      return [pictures * config.imageTokenCount, config.vision.width]
    }
    if start == config.tokenEmbeddingIndex {
      return [pictures * config.imageTokenCount, config.text.width]
    }
    return [rows, config.text.width]
  }

  private func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Failure) {
    guard holds else {
      throw Failure(code: "invalid_request", message: "a micro-batch has \(what())")
    }
  }
}
