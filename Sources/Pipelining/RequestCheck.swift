import Messaging
import PaliGemma
import Tensors

/// Whether a request can be computed at all; checked before anything is spent on it.
struct RequestCheck {
  let config: ModelConfig

  func check(_ request: PreparedRequest) throws(Failure) {
    let side = config.vision.imageSide
    let pictures = request.pixels.rowCount
    try require(
      request.pixels.elementType == .u8 && pictures > 0
        && request.pixels.shape == [pictures, side, side, 3],
      "pixels of shape \(request.pixels.shape), not [pictures, \(side), \(side), 3]")
    try require(!request.textTokenIDs.isEmpty, "no tokens")
    try require(
      request.textTokenIDs.allSatisfy { $0 >= 0 && Int($0) < config.text.vocabularyCount },
      "a token outside the vocabulary of \(config.text.vocabularyCount)")
    let sampling = request.sampling
    try require(sampling.maximumTokens > 0, "no room for an answer")
    let (positions, overflow) = (pictures * config.imageTokenCount + request.textTokenIDs.count)
      .addingReportingOverflow(sampling.maximumTokens)
    try require(
      !overflow && positions <= config.text.positionCountMaximum,
      "\(pictures * config.imageTokenCount + request.textTokenIDs.count) prompt tokens and up to "
        + "\(sampling.maximumTokens) answer tokens, more than the model's "
        + "\(config.text.positionCountMaximum) positions")
    try require(
      sampling.temperature >= 0 && sampling.temperature.isFinite && sampling.topK >= 0
        && sampling.topP > 0 && sampling.topP <= 1,
      "sampling out of range: temperature >= 0, top_k >= 0, 0 < top_p <= 1")
  }

  private func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Failure) {
    guard holds else {
      throw Failure(code: "invalid_request", message: "the request has \(what())")
    }
  }
}
