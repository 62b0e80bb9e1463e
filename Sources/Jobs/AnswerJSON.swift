import Foundation
import Imaging
import Messaging

/// How answers look in JSON: shared by `run --json`, the batch's result lines and the HTTP service.
extension Answer {
  /// `{text, token_ids, finish_reason, usage, logprobs?}` and the members of `typedJSON`: one answer
  /// by itself.
  ///
  /// - Parameters:
  ///   - hasLogprobs: whether they were asked for; an empty answer has an empty list then.
  ///   - image: the picture answered, where there are several; nil leaves it out.
  ///   - maskFiles: for each box where its mask was written to, or nil.
  /// - Returns: an object.
  public func json(
    hasLogprobs: Bool, image: String? = nil, maskFiles: [String?] = []
  ) -> JSONText {
    var members: [String: JSONText] = [
      "text": .string(text), "token_ids": tokenIDsJSON, "finish_reason": .string(finishWord),
      "usage": usageJSON,
    ]
    members.merge(typedJSON(maskFiles: maskFiles)) { $1 }
    if hasLogprobs { members["logprobs"] = logprobsJSON }
    if let image { members["image"] = .string(image) }
    return .object(members)
  }

  /// `{image, error: {code, message}}`: the line of a picture among several that has no answer.
  public static func failureJSON(_ failure: Failure, image: String) -> JSONText {
    .object([
      "image": .string(image),
      "error": .object(["code": .string(failure.code), "message": .string(failure.message)]),
    ])
  }

  var tokenIDsJSON: JSONText { .array(tokenIDs.map { .integer(Int($0)) }) }

  var usageJSON: JSONText {
    .object([
      "prompt_tokens": .integer(promptTokens), "completion_tokens": .integer(completionTokens),
      "total_tokens": .integer(promptTokens + completionTokens),
    ])
  }

  /// What the answer says beside its text, the same on every way out; each member stands there only
  /// when it has something to say.
  ///
  /// - `boxes`: `[{label, xyxy, segments?, repeat?}]`, corners in pixels of the first picture, clipped to
  ///   it and ordered; `segments` are the mask's 16 code words, `repeat` is true for a box that an
  ///   earlier one of the same label and corners came before.
  /// - `masks`: one for each box, `{size: [height, width], counts}` as COCO has it (`pycocotools` reads
  ///   it), with `png` or `file` when asked for; null for a box without a mask.
  /// - `malformed`: `[{reason, text}]`, what stands in an answer with boxes and is none.
  /// - `repeats`: how many boxes are repeats.
  /// - `repetition`: true when the answer was ended because it went round in its boxes.
  ///
  /// - Parameters:
  ///   - hasMaskPictures: whether each mask also comes as `png`, a PNG file in base64.
  ///   - maskFiles: for each box where its mask was written to, or nil.
  /// - Returns: the members, to be put beside others.
  public func typedJSON(
    hasMaskPictures: Bool = false, maskFiles: [String?] = []
  ) -> [String: JSONText] {
    var members: [String: JSONText] = [:]
    if !boxes.isEmpty { members["boxes"] = boxesJSON }
    if boxes.contains(where: { !$0.mask.isEmpty }) {
      members["masks"] = .array(
        boxes.enumerated().map { index, box in
          let file = maskFiles.indices.contains(index) ? maskFiles[index] : nil
          return maskJSON(box, hasPicture: hasMaskPictures, file: file)
        })
    }
    if !malformed.isEmpty {
      members["malformed"] = .array(
        malformed.map { .object(["reason": .string($0.reason), "text": .string($0.text)]) })
    }
    if repeatCount > 0 { members["repeats"] = .integer(repeatCount) }
    if finish == .repetition { members["repetition"] = .bool(true) }
    return members
  }

  /// Corners in pixels of the first picture, to a hundredth.
  var boxesJSON: JSONText {
    .array(
      boxes.map { box in
        var members: [String: JSONText] = [
          "label": .string(box.label),
          "xyxy": .array([box.x1, box.y1, box.x2, box.y2].map { .decimal($0, places: 2) }),
        ]
        if !box.segments.isEmpty {
          members["segments"] = .array(box.segments.map { .integer(Int($0)) })
        }
        if box.isRepeat { members["repeat"] = .bool(true) }
        return .object(members)
      })
  }

  private func maskJSON(_ box: Box, hasPicture: Bool, file: String?) -> JSONText {
    guard !box.mask.isEmpty, let size = imageSizes.first else { return .null }
    var members: [String: JSONText] = [
      "size": .array([.integer(size.height), .integer(size.width)]), "counts": .string(box.mask),
    ]
    if hasPicture, let bytes = try? mask(of: box)?.encodedPNG() {
      members["png"] = .string(Data(bytes).base64EncodedString())
    }
    if let file { members["file"] = .string(file) }
    return .object(members)
  }

  /// Per token its id, log-probability and alternatives, to a millionth: f32 has no more to say.
  var logprobsJSON: JSONText {
    .array(
      logprobs.map { token in
        .object([
          "id": .integer(Int(token.tokenID)),
          "logprob": .decimal(Double(token.logprob), places: 6),
          "top_logprobs": .array(
            token.alternatives.map { other in
              .object([
                "id": .integer(Int(other.tokenID)),
                "logprob": .decimal(Double(other.logprob), places: 6),
              ])
            }),
        ])
      })
  }
}
