/// Every maximum of this target, with its reason.
enum VideoLimits {
  /// A path has at most 4096 bytes in Linux; a URL with a long token fits as well.
  static let sourceByteCount = 4096
  /// Sampled frames that wait for their consumer: enough to keep a pipeline of four stages fed, 22 MB of 720p.
  static let bufferedFrameCount = 8
  /// Bytes of frames that wait, whatever their number: one frame of 100 million pixels is 300 MB and must fit alone.
  static let bufferedByteCount = 256 << 20
  /// What a user may ask for as `bufferedFrameCount`.
  static let bufferedFrameCountMaximum = 4096
  /// Events that wait, drops above all: two minutes of drops at 30 a second. Then the decoder waits, so that none is lost.
  static let bufferedEventCount = 4096
  /// The sampling periods that can be asked for: a millisecond (1000 frames a second) to a day.
  static let samplingPeriods = MediaTime(nanoseconds: 1_000_000)...MediaTime(seconds: 86_400)
  /// The largest N of "every Nth": a day at 60 frames a second is 5 million.
  static let samplingFrameCount = 10_000_000
  /// Pictures of a folder or pattern: 100 bytes a path, 100 MB. Also eleven days at one a second.
  static let pictureCount = 1_000_000
  /// One line of the decoder's log; ours are below 400 bytes, complaints rarely above.
  static let logLineByteCount = 16 << 10
  /// The decoder's last words that go into an error.
  static let lastWordCount = 4
  /// Bytes of one complaint, for a record.
  static let complaintByteCount = 300
  /// Complaints told as notices in a minute; a corrupt file has thousands.
  static let complaintsPerMinute = 10
  /// Frames announced whose bytes are not read yet: the pipe's 1 MiB holds these many of 19 x 19 pixels. With more, the
  /// announcements wait in their pipe, and the decoder with them. 100 bytes each.
  static let announcedFrameCount = 1024
  /// Decoded frames remembered until one of them is selected; they pass the filters one by one.
  static let recentFrameCount = 64
  /// The pipe between decoder and us; Linux gives up to 1 MiB to anybody. Fewer, larger reads.
  static let pipeByteCount: Int32 = 1 << 20
  /// A child that was told to end is killed after this.
  static let exitGrace = Duration.seconds(5)
  /// A leap of a source's clock by more than this, forwards or back, is a clock that began anew.
  static let clockLeap = MediaTime(seconds: 3600)
  /// Disorder below this is disorder; above, a clock that began anew.
  static let clockDisorder = MediaTime(seconds: 1)
  /// Without an announced rate, a frame without timestamp counts for this long: 25 a second.
  static let frameDurationDefault = MediaTime(nanoseconds: 40_000_000)
  /// An encoder that takes nothing for so long has died; a 100-megapixel frame takes seconds.
  static let encoderPatience = Duration.seconds(60)
}
