import Messaging

/// What PaliGemma was trained to do, by its documented prefixes: builds the prompt for a user who
/// doesn't know them.
public enum PromptTask: String, Sendable, CaseIterable {
  /// `caption LANG`; a text is not needed.
  case caption
  /// `answer LANG TEXT`: a question.
  case vqa
  /// `detect TEXT`: boxes of a thing, or of several with " ; " between.
  case detect
  /// `segment TEXT`: boxes and masks.
  case segment
  /// `count TEXT`.
  case count
  /// `ocr`; a text is not needed.
  case ocr

  /// The prompt.
  ///
  /// - Parameters:
  ///   - text: what the user wrote; may be empty for `caption` and `ocr`, which have no use for it.
  ///   - language: as in the training data, such as `en`.
  /// - Returns: what the model sees.
  /// - Throws: `missing_prompt` when the task needs a text and there is none.
  public func prompt(text: String, language: String) throws(Failure) -> String {
    func needed() throws(Failure) -> String {
      guard !text.isEmpty else {
        throw Failure(
          code: "missing_prompt", message: "task \(rawValue) needs a text: what it is about")
      }
      return text
    }
    switch self {
    case .caption: return "caption \(language)"
    case .ocr: return "ocr"
    case .vqa: return "answer \(language) \(try needed())"
    case .detect: return "detect \(try needed())"
    case .segment: return "segment \(try needed())"
    case .count: return "count \(try needed())"
    }
  }

  /// The grammar of answers to `prompt`; nil for prompts whose answers are free text.
  public static func grammar(of prompt: String) -> Grammar? {
    if prompt.hasPrefix("detect ") { return .detect }
    if prompt.hasPrefix("segment ") { return .segment }
    return nil
  }
}

/// The fields `task`, `lang` and `constrain`, which all forms of a request share.
struct TaskFields: Decodable {
  private enum Key: String, CodingKey { case task, lang, constrain }

  private let task: PromptTask?
  private let language: String
  private let isConstrained: Bool

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    if let name = try fields.decodeIfPresent(String.self, forKey: .task) {
      guard let task = PromptTask(rawValue: name) else {
        let names = PromptTask.allCases.map(\.rawValue).joined(separator: ", ")
        throw Failure(
          code: "invalid_request", message: "task \"\(name.prefix(40))\" is none of \(names)")
      }
      self.task = task
    } else {
      task = nil
    }
    language = try fields.decodeIfPresent(String.self, forKey: .lang) ?? "en"
    isConstrained = try fields.decodeIfPresent(Bool.self, forKey: .constrain) ?? false
    // "en" or "zh-hans"; anything else would be a prompt of its own.
    guard (1...16).contains(language.utf8.count),
      language.utf8.allSatisfy({ (97...122).contains($0) || (65...90).contains($0) || $0 == 45 })
    else { throw Failure(code: "invalid_request", message: "lang must be a code such as en") }
  }

  /// The prompt, as the task has it; the text itself where there is no task.
  func prompt(_ text: String) throws(Failure) -> String {
    guard let task else {
      guard !text.isEmpty else {
        throw Failure(
          code: "missing_prompt",
          message: "there is no text; add one, or a task that needs none (caption, ocr)")
      }
      return text
    }
    return try task.prompt(text: text, language: language)
  }

  /// What `constrain` asks for.
  ///
  /// - Throws: `invalid_request` when the prompt is for no task with a grammar.
  func grammar(of prompt: String) throws(Failure) -> Grammar? {
    guard isConstrained else { return nil }
    guard let grammar = PromptTask.grammar(of: prompt) else {
      throw Failure(
        code: "invalid_request", message: "constrain goes with detect and segment prompts only")
    }
    return grammar
  }
}
