import Foundation
import Messaging
import Testing

@testable import palisade

/// What `palisade top` and `palisade status` draw.
@Suite struct TopTests {
  @Test func bars() {
    #expect(TopPicture.bar(0, width: 4) == "░░░░")
    #expect(TopPicture.bar(0.5, width: 4) == "██░░")
    #expect(TopPicture.bar(1, width: 4) == "████")
    #expect(TopPicture.bar(0.59, width: 4) == "██▍░")
    #expect(TopPicture.bar(7, width: 4) == "████" && TopPicture.bar(-1, width: 2) == "░░")
  }

  @Test func aLineOfLittleBars() {
    var line = Sparkline()
    #expect(line.text(width: 3) == "   ")
    for value in [0, 50, 100] { line.add(Double(value)) }
    #expect(line.text(width: 4) == " ▁▄█" && line.peak == 100)
    #expect(line.text(width: 2) == "▄█")
  }

  @Test func theTimelineShowsWorkAndBubbles() {
    let span = { (phase: Phase, start: UInt64, busy: UInt64) in
      TraceSpan(
        sequence: 1, stage: 0, phase: phase, requestCount: 1, rowCount: 1,
        startNanoseconds: start * 1_000_000, busyNanoseconds: busy * 1_000_000)
    }
    let end: UInt64 = 3_000_000_000
    let spans = [
      span(.prefill, 1500, 600), span(.decode, 2300, 200), span(.prefill, 2950, 500),
      span(.prefill, 100, 5), span(.decode, 4000, 5),
    ]
    #expect(TopPicture.cells(spans, until: end, width: 10) == "█··▒▒····█")
    #expect(TopPicture.cells([], until: 5, width: 3) == "···")
  }

  @Test func namesOfOtherMachinesCantSteerTheTerminal() {
    var row = StageStatus(name: "vi\u{1b}[2Jsion", blocks: 0..<8, worker: "w\r\n", node: "n\u{9b}")
    row.recentBusyShare = 0.5
    var status = Status(state: "ready", message: "\u{7}all", stages: [row])
    status.bottleneck = row.name
    let picture = TopPicture(
      status: status, trace: Trace(), tokens: Sparkline(), endpoint: "tcp://x", isColoured: false,
      size: (columns: 60, rows: 30))
    for line in picture.lines + StatusText(status).lines {
      #expect(!line.unicodeScalars.contains { $0.properties.generalCategory == .control })
    }
    #expect(picture.lines.allSatisfy { $0.count <= 84 })
  }
}
