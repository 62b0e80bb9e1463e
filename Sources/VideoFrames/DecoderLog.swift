import Foundation
import Imaging

/// Reads what ffmpeg writes on its standard error: our announcements of frames, and its complaints.
///
/// Announcements are lines of two `showinfo` filters whose names hold a random number, so that nothing in a video's own text (titles
/// are logged too) can pass for one.
struct DecoderLog {
  /// Where in the chain of filters a frame was seen.
  enum Place: Int, Sendable {
    /// As it was decoded.
    case decoded
    /// Past the selection, as it leaves: its bytes follow.
    case selected
  }

  /// What is known of a frame before its bytes come.
  struct Announcement: Sendable, Equatable {
    /// Nil where there is no timestamp.
    var ticks: Int64?
    var width: Int
    var height: Int
    var isKeyFrame: Bool
    /// How its bytes will be coded; nil is RGB. The colours' line comes behind the frame's, before its bytes.
    var form: PlanarForm?

    /// Whether it is the same frame, at another place.
    func isSameFrame(as other: Announcement) -> Bool {
      ticks == other.ticks && width == other.width && height == other.height
        && isKeyFrame == other.isKeyFrame
    }
  }

  /// Something worth knowing.
  enum Item: Sendable, Equatable {
    case clock(TimeBase, frameDuration: MediaTime?)
    case frame(Place, Announcement)
    /// What is declared of the colours of the frame that was announced last.
    case colours(Place, isFullRange: Bool?, redWeight: Double, blueWeight: Double)
    /// The input has an end, so it is no live stream.
    case finite
    case complaint(String, isError: Bool)
  }

  /// The names of the two filters.
  let tags: [String]
  private var line: [CChar] = []
  private var hasSeenInput = false

  /// A log with fresh names.
  init() {
    let secret = String(UInt64.random(in: .min ... .max), radix: 36)
    tags = ["d", "s"].map { "showinfo@\($0)\(secret)" }
    line.reserveCapacity(1024)
  }

  /// Takes bytes as they come; hands out what their complete lines say.
  mutating func read(_ bytes: UnsafeRawBufferPointer, _ take: (Item) -> Void) {
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      let end = memchr(base, 10, rest.count).map { UnsafeRawPointer($0) - base }
      let part = UnsafeRawBufferPointer(rebasing: rest[..<(end ?? rest.count)])
      let room = VideoLimits.logLineByteCount - line.count
      line.append(
        contentsOf: UnsafeRawBufferPointer(rebasing: part.prefix(room)).bindMemory(to: CChar.self))
      guard let end else { return }
      line.append(0)
      if let item = item() { take(item) }
      line.removeAll(keepingCapacity: true)
      rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
    }
  }

  private mutating func item() -> Item? {
    for (index, tag) in tags.enumerated() {
      // Anywhere: another thread's unfinished line may stand before it.
      guard let place = Place(rawValue: index), let at = line.position(after: tag) else { continue }
      return announcement(place, from: at)
    }
    if !hasSeenInput, let at = line.position(after: "  Duration: ") {
      hasSeenInput = true
      // `N/A`; and a live stream in FLV, which RTMP carries, says that it lasts no time.
      return line[at] == 78 || line.word(after: "  Duration: ", from: 0) == "00:00:00.00,"
        ? nil : .finite
    }
    for (level, isError) in [("[error] ", true), ("[fatal] ", true), ("[warning] ", false)] {
      guard let at = line.position(after: level) else { continue }
      let text = String(
        decoding: line[at...].dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
      let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
      let name = line.first == 91 /* [ */ ? line.text(from: 1, to: " @ 0x") ?? "" : ""
      return trimmed.isEmpty
        ? nil : .complaint((name.isEmpty ? "" : name + ": ") + trimmed, isError: isError)
    }
    return nil
  }

  private func announcement(_ place: Place, from start: Int) -> Item? {
    if place == .decoded, let at = line.position(after: "config in time_base: ", from: start) {
      guard let clock = line.fraction(at), let timeBase = TimeBase(clock.0, clock.1) else {
        return nil
      }
      let rate = line.position(after: "frame_rate: ", from: at).flatMap { line.fraction($0) }
      // The duration of a frame is the rate turned over.
      let duration = rate.flatMap { TimeBase($0.1, $0.0) }
        .flatMap { MediaTime(ticks: 1, timeBase: $0) }
      return .clock(timeBase, frameDuration: duration)
    }
    if let colours = colours(place, from: start) { return colours }
    guard let pts = line.position(after: " pts:", from: start),
      let size = line.position(after: " s:", from: pts), let width = line.integer(size),
      let cross = line.position(after: "x", from: size), let height = line.integer(cross),
      let key = line.position(after: " iskey:", from: cross), let isKey = line.integer(key)
    else { return nil }
    let announcement = Announcement(
      ticks: line.integer(pts), width: Int(width), height: Int(height), isKeyFrame: isKey != 0,
      form: form(from: pts))
    return .frame(place, announcement)
  }

  /// The planes that the name of a pixel format stands for; nil for RGB. `j` is JPEG's full range.
  private func form(from start: Int) -> PlanarForm? {
    switch line.word(after: " fmt:", from: start) {
    case "yuv420p": PlanarForm(isHalved: true, isFullRange: false)
    case "yuvj420p": PlanarForm(isHalved: true, isFullRange: true)
    case "yuv444p": PlanarForm(isHalved: false, isFullRange: false)
    case "yuvj444p": PlanarForm(isHalved: false, isFullRange: true)
    default: nil
    }
  }

  private func colours(_ place: Place, from start: Int) -> Item? {
    guard let range = line.word(after: " color_range:", from: start),
      let space = line.word(after: " color_space:", from: start)
    else { return nil }
    let isFullRange: Bool? = range == "pc" ? true : range == "tv" ? false : nil
    // Kr and Kb (ITU-T H.273, table 4); what declares none has those of BT.601.
    let (red, blue) =
      switch space {
      case "bt709": (0.2126, 0.0722)
      case "bt2020nc", "bt2020c": (0.2627, 0.0593)
      case "fcc": (0.30, 0.11)
      case "smpte240m": (0.212, 0.087)
      default: (0.299, 0.114)
      }
    return .colours(place, isFullRange: isFullRange, redWeight: red, blueWeight: blue)
  }
}

/// A line of C characters with a zero at its end. C's own functions search it: tens of thousands of lines a minute.
extension [CChar] {
  fileprivate func position(after text: String, from start: Int = 0) -> Int? {
    withUnsafeBufferPointer { line in
      guard let base = line.baseAddress, let found = strstr(base + start, text) else { return nil }
      return found - UnsafeMutablePointer(mutating: base) + text.utf8.count
    }
  }

  /// A whole number after spaces; nil for anything else, such as `NOPTS`.
  fileprivate func integer(_ start: Int) -> Int64? {
    withUnsafeBufferPointer { line in
      guard let base = line.baseAddress else { return nil }
      var end: UnsafeMutablePointer<CChar>?
      let value = strtoll(base + start, &end, 10)
      return end.map { UnsafePointer($0) == base + start } == false ? value : nil
    }
  }

  fileprivate func fraction(_ start: Int) -> (Int32, Int32)? {
    guard let upper = integer(start), let slash = position(after: "/", from: start),
      let lower = integer(slash), let first = Int32(exactly: upper),
      let second = Int32(exactly: lower)
    else { return nil }
    return (first, second)
  }

  /// What stands behind a mark, up to the next space.
  fileprivate func word(after mark: String, from start: Int) -> String? {
    guard let at = position(after: mark, from: start) else { return nil }
    let bytes = self[at...].prefix { $0 != 32 && $0 != 0 && $0 != 10 }
    return String(decoding: bytes.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  fileprivate func text(from start: Int, to mark: String) -> String? {
    guard let end = position(after: mark, from: start) else { return nil }
    let bytes = self[start..<(end - mark.utf8.count)].map(UInt8.init(bitPattern:))
    return String(decoding: bytes, as: UTF8.self)
  }
}
