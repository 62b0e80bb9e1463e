import Messaging
import Pipelining
import Synchronization
import Tokenization

/// Turns an answer's tokens into text as they come, and finds the text that ends it.
///
/// `push` is called on the engine's thread, the rest on the caller's task.
final class AnswerStream: Sendable {
  typealias Work = Task<Result<Completion, Failure>, Never>

  private struct State {
    var decoder: StreamingDecoder
    /// Certain text that may be the beginning of a stop text, and the tokens nobody has seen yet.
    var held = ""
    var heldTokens: [TokenLogprob] = []
    /// Everything so far.
    var text = ""
    var tokens: [TokenLogprob] = []
    var isStopped = false
    var work: Work?
  }

  private let state: Mutex<State>
  private let endTokens: Set<Int32>
  private let stopTexts: [String]
  private let onDelta: (@Sendable (AnswerDelta) -> Void)?

  /// - Parameters:
  ///   - tokenizer: of the model.
  ///   - endTokens: tokens that end an answer and have no text.
  ///   - stopTexts: texts that end the answer, and are no part of it; empty ones are ignored.
  ///   - onDelta: gets each piece of text.
  init(
    tokenizer: Tokenizer, endTokens: [Int32], stopTexts: [String],
    onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) {
    state = Mutex(State(decoder: StreamingDecoder(tokenizer)))
    self.endTokens = Set(endTokens)
    self.stopTexts = stopTexts.filter { !$0.isEmpty }
    self.onDelta = onDelta
  }

  /// Takes the next token. At a stop text the work is cancelled.
  func push(_ token: TokenLogprob) {
    let delta = state.withLock { state -> AnswerDelta? in
      guard !state.isStopped else { return nil }
      state.tokens.append(token)
      if endTokens.contains(token.tokenID) { return nil }
      state.held += state.decoder.push(token.tokenID)
      state.heldTokens.append(token)
      return release(&state, isLast: false)
    }
    if let delta { onDelta?(delta) }
  }

  /// Names the work to cancel at a stop text, perhaps at once.
  func attach(_ work: Work) {
    state.withLock { state in
      state.work = work
      if state.isStopped { work.cancel() }
    }
  }

  /// Ends the answer: gives the caller what was held back.
  ///
  /// - Returns: the text and the tokens up to the one that completed a stop text; nil when no stop text
  ///   was found.
  func finish() -> (text: String, tokens: [TokenLogprob])? {
    let (delta, stopped) = state.withLock { state in
      var delta: AnswerDelta?
      if !state.isStopped {
        state.held += state.decoder.finish()
        delta = release(&state, isLast: true)
      }
      return (delta, state.isStopped ? (state.text, state.tokens) : nil)
    }
    if let delta { onDelta?(delta) }
    return stopped
  }

  /// Gives out what cannot be the beginning of a stop text.
  private func release(_ state: inout State, isLast: Bool) -> AnswerDelta? {
    let found = stopTexts.compactMap { state.held.firstRange(of: $0)?.lowerBound }.min()
    let pending = isLast ? 0 : pendingCount(in: state.held)
    let end = found ?? state.held.index(state.held.endIndex, offsetBy: -pending)
    let text = String(state.held[..<end])
    state.held.removeSubrange(..<end)
    state.text += text
    if found != nil {
      state.isStopped = true
      state.work?.cancel()
    }
    // Tokens without text yet go with the text they become.
    guard !text.isEmpty || (isLast && !state.heldTokens.isEmpty) else { return nil }
    defer { state.heldTokens = [] }
    return AnswerDelta(text: text, tokens: state.heldTokens)
  }

  /// How many characters at the end may be the beginning of a stop text.
  private func pendingCount(in text: String) -> Int {
    stopTexts.map { stop in
      stride(from: min(stop.count - 1, text.count), to: 0, by: -1)
        .first { text.hasSuffix(stop.prefix($0)) } ?? 0
    }.max() ?? 0
  }
}
