import Testing
import VideoFrames

@Suite struct MediaTimeTests {
  @Test func ticksOfEveryUsualClockComeBack() throws {
    for denominator: Int32 in [24, 25, 30, 1000, 12_800, 15_360, 44_100, 90_000, 1_000_000_000] {
      let timeBase = try #require(TimeBase(1, denominator))
      for ticks: Int64 in [0, 1, 7, -3, 999_999_937] {
        let time = try #require(MediaTime(ticks: ticks, timeBase: timeBase))
        #expect(time.ticks(in: timeBase) == ticks)
      }
    }
    let film = try #require(TimeBase(1001, 24_000))
    #expect(MediaTime(ticks: 24_000, timeBase: film)?.seconds == 1001)
    #expect(MediaTime(ticks: .max, timeBase: film) == nil)
    #expect(TimeBase(0, 1) == nil && TimeBase(1, 0) == nil)
  }

  @Test func textComesBackExactly() throws {
    for nanoseconds: Int64 in [0, 1, -1, 40_000_000, 1_500_000_000, 33_366_667, .max, -.max] {
      let time = MediaTime(nanoseconds: nanoseconds)
      #expect(MediaTime(time.description) == time, "\(time)")
    }
    #expect(MediaTime(seconds: 0.04).description == "0.04")
    #expect(MediaTime(seconds: -12).description == "-12")
    for bad in ["", "-", ".", "1.", ".5", "1e3", "1.2.3", " 1", "99999999999999"] {
      #expect(MediaTime(bad) == nil, "\(bad)")
    }
  }

  @Test func sumsStopAtTheirEnds() {
    let (most, least) = (MediaTime(nanoseconds: .max), MediaTime(nanoseconds: .min))
    #expect(most + MediaTime(seconds: 1) == most)
    #expect(least - MediaTime(seconds: 1) == least)
    #expect(MediaTime(seconds: .infinity) > MediaTime(seconds: 1e9))
    #expect(MediaTime(seconds: .nan) == .zero)
    #expect(MediaTime(.milliseconds(1500)) == MediaTime(seconds: 1.5))
  }
}
