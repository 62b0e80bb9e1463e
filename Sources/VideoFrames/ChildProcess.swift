import CProcess
import Foundation

/// A child with a process group of its own, its standard streams as pipes, and no other descriptor of ours.
///
/// The kernel kills it when the thread that started it ends (`setpriv --pdeathsig`, where util-linux is installed), so no
/// decoder outlives a `SIGKILL` of its owner. For that thread only; `deinit` kills and reaps.
struct ChildProcess: ~Copyable {
  /// What is connected to one of its standard streams.
  enum Stream: Equatable {
    case null
    case pipe
    /// A descriptor of ours, which stays open here.
    case inherited(Int32)
  }

  /// How it ended.
  enum Exit: Sendable, Equatable {
    case code(Int32)
    case signal(Int32)
  }

  let processID: pid_t
  /// Our ends of its pipes; -1 where there is none. Reading ends don't block.
  private(set) var input: Int32 = -1
  private(set) var output: Int32 = -1
  private(set) var errors: Int32 = -1
  private var exit: Exit?

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - path: the program's file.
  ///   - arguments: without the program's name; no shell sees them.
  ///   - input: its standard input.
  ///   - output: its standard output; its standard error is always a pipe.
  /// - Throws: `decoder_missing` with the system's reason.
  init(
    _ path: String, _ arguments: [String], input: Stream = .null, output: Stream = .pipe
  ) throws(VideoError) {
    var ends: [Int32] = [-1, -1, -1]
    var theirs: [Int32] = []
    defer { for descriptor in theirs { close(descriptor) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (number, stream) in [input, output, .pipe].enumerated() {
      switch stream {
      case .null:
        let flags = number == 0 ? O_RDONLY : O_WRONLY
        posix_spawn_file_actions_addopen(&actions, Int32(number), "/dev/null", flags, 0)
      case .inherited(let descriptor):
        posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
      case .pipe:
        guard let pair = Pipes.make() else {
          for end in ends where end >= 0 { close(end) }
          throw Self.failure(path, errno)
        }
        let isInput = number == 0
        theirs.append(isInput ? pair.read : pair.write)
        ends[number] = isInput ? pair.write : pair.read
        if !isInput { Pipes.unblock(pair.read) }
        if number != 2 { Pipes.enlarge(pair.read) }
        posix_spawn_file_actions_adddup2(&actions, theirs[theirs.count - 1], Int32(number))
      }
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    var command = [path] + arguments
    let guardian = "/usr/bin/setpriv"
    if access(guardian, X_OK) == 0 {
      command = [guardian, "--pdeathsig", "KILL", "--"] + command
    }
    var process: pid_t = 0
    let status = Self.spawn(&process, command, &actions)
    guard status == 0 else {
      for end in ends where end >= 0 { close(end) }
      throw Self.failure(path, status)
    }
    processID = process
    (self.input, self.output, errors) = (ends[0], ends[1], ends[2])
  }

  deinit {
    for end in [input, output, errors] where end >= 0 { close(end) }
    guard exit == nil else { return }
    _ = Glibc.kill(-processID, SIGKILL)
    var status: Int32 = 0
    while waitpid(processID, &status, 0) < 0 && errno == EINTR {}
  }

  /// Closes its standard input: it reads an end of file.
  mutating func closeInput() {
    if input >= 0 { close(input) }
    input = -1
  }

  /// Kills it and all it has started.
  mutating func kill() { if exit == nil { _ = Glibc.kill(-processID, SIGKILL) } }

  /// Waits for its end; kills it when that takes longer than the grace.
  mutating func wait(grace: Duration = VideoLimits.exitGrace) -> Exit {
    if let exit { return exit }
    let deadline = ContinuousClock.now + grace
    var isKilled = false
    while true {
      var status: Int32 = 0
      let result = waitpid(processID, &status, isKilled ? 0 : WNOHANG)
      if result == processID {
        let signal = status & 0x7f
        let ended: Exit = signal == 0 ? .code(status >> 8 & 0xff) : .signal(signal)
        exit = ended
        return ended
      }
      if result < 0 && errno != EINTR {
        // Somebody else reaped it: nothing is known, and nothing is left.
        exit = .code(-1)
        return .code(-1)
      }
      if result == 0 {
        if ContinuousClock.now >= deadline {
          kill()
          isKilled = true
        } else {
          usleep(2_000)
        }
      }
    }
  }

  /// A program's file, looked up in `PATH` unless its name has a slash.
  static func find(_ program: String) throws(VideoError) -> String {
    let folders =
      program.contains("/")
      ? [""]
      : (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        .map { $0 + "/" }
    for folder in folders where access(folder + program, X_OK) == 0 { return folder + program }
    throw failure(program, ENOENT)
  }

  private static func failure(_ program: String, _ code: Int32) -> VideoError {
    VideoError(
      .decoderMissing, cause: "'\(program)' can't be started: \(String(cString: strerror(code)))",
      remedy: "install ffmpeg (scripts/install-packages), or name its file")
  }

  /// Signals as if at a login, and nothing of our environment but what finds libraries: no proxy, no option of ffmpeg.
  private static func spawn(
    _ process: inout pid_t, _ command: [String], _ actions: inout posix_spawn_file_actions_t
  ) -> Int32 {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    posix_spawnattr_setflags(&attributes, Int16(flags))
    let kept = ["PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR"]
    let environment = kept.compactMap { name in
      ProcessInfo.processInfo.environment[name].map { "\(name)=\($0)" }
    }
    let words = command.map { strdup($0) } + [nil]
    let settings =
      (environment + ["LC_ALL=C", "AV_LOG_FORCE_NOCOLOR=1"]).map { strdup($0) } + [nil]
    defer { for text in words + settings { free(text) } }
    return posix_spawn(&process, command[0], &actions, &attributes, words, settings)
  }
}
