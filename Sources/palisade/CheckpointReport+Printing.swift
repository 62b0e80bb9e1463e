import Foundation
import PaliGemma
import Tensors

extension CheckpointReport {
  /// Tensor names shown of a list before it is cut short.
  private static let namesShownMaximum = 10

  /// The report for a terminal.
  func table(of directory: String) -> String {
    var table = TextTable(
      ["blocks", "part", "parameters", "bytes", "type", "cost"], rightAligned: [0, 2, 3, 5])
    for group in groups {
      table.add([
        Self.span(group.blocks), group.name, Readable.count(group.parameterCount),
        Readable.bytes(group.byteCount), Self.types(group),
        Readable.fixed(100 * group.costShare, places: 1) + " %",
      ])
    }
    table.add([
      "\(config.blockCount)", "total", Readable.count(parameterCount), Readable.bytes(byteCount),
    ])
    let vision = config.vision
    let head = isHeadTied ? "tied to the token embedding" : "has its own table"
    let names = hasHubNames ? "as in Google's hub files" : "of another writer"
    let lines = [
      directory, "", table.text, "",
      "files:  \(fileCount) of weights; the head \(head)",
      "names:  \(names) (\(namePrefixes.joined(separator: ", ")))",
      "image:  \(vision.imageSide) x \(vision.imageSide) px, patches of \(vision.patchSide): "
        + "\(config.imageTokenCount) image tokens (id \(config.imageTokenID))",
      "cache:  \(Readable.count(config.cacheBytesPerPosition)) bytes per position and Gemma layer",
    ]
    return (lines + problems).joined(separator: "\n")
  }

  private var problems: [String] {
    var lines: [String] = []
    for (title, names) in [
      ("missing", missing), ("not usable", unsound), ("not needed", unexpected),
    ] where !names.isEmpty {
      lines.append("\(title): \(names.count) tensors")
      lines += names.prefix(Self.namesShownMaximum).map { "  " + $0 }
      let rest = names.count - Self.namesShownMaximum
      if rest > 0 { lines.append("  and \(rest) more (--json has all)") }
    }
    let remedy = "take config.json and all weight files from one and the same model"
    return lines.isEmpty ? ["all weights are there"] : isSound ? lines : lines + [remedy]
  }

  private static func span(_ blocks: Range<Int>) -> String {
    blocks.count == 1 ? "\(blocks.lowerBound)" : "\(blocks.lowerBound)-\(blocks.upperBound - 1)"
  }

  private static func types(_ group: Group) -> String {
    group.elementTypes.map { "\($0)" }.sorted().joined(separator: ", ")
  }

  /// The report as one JSON object.
  var json: String {
    get throws {
      let content = CheckpointReportJSON(self)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(content), as: UTF8.self)
    }
  }
}

/// The form of `inspect --json`; names are stable.
private struct CheckpointReportJSON: Encodable {
  struct Group: Encodable {
    let name: String
    let first_block: Int
    let block_count: Int
    let parameters: Int
    let bytes: Int
    let types: [String]
    let cost_share: Double
  }
  let groups: [Group]
  let parameters: Int
  let bytes: Int
  let files: Int
  let name_prefixes: [String]
  let hub_names: Bool
  let tied_head: Bool
  let image_size: Int
  let patch_size: Int
  let image_tokens: Int
  let missing: [String]
  let unusable: [String]
  let unexpected: [String]
  let sound: Bool

  init(_ report: CheckpointReport) {
    groups = report.groups.map {
      Group(
        name: $0.name, first_block: $0.blocks.lowerBound, block_count: $0.blocks.count,
        parameters: $0.parameterCount, bytes: $0.byteCount,
        types: $0.elementTypes.map { "\($0)" }.sorted(), cost_share: $0.costShare)
    }
    parameters = report.parameterCount
    bytes = report.byteCount
    files = report.fileCount
    name_prefixes = report.namePrefixes
    hub_names = report.hasHubNames
    tied_head = report.isHeadTied
    image_size = report.config.vision.imageSide
    patch_size = report.config.vision.patchSide
    image_tokens = report.config.imageTokenCount
    missing = report.missing
    unusable = report.unsound
    unexpected = report.unexpected
    sound = report.isSound
  }
}
