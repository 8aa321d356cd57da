"""The patterns that tell what one sentence of an answer does.

Patterns are RE2 over the plain text of `text.py`: lower case, straight quotes, single blanks.
Topic words alone are no evidence: the original list flags 23 % of natural data at 2 % precision
with them. A lecture needs a frame ("it is important to", "we should", "it is never right to").

Every deciding pattern has words without which it cannot match (at most 46, of three letters or
more), so that a search for fixed words can rule it out first; `as-a-model` ("ai") and `wrong-to`
("ok") need two-letter words as well. Keep it so: a branch of classes or digits alone breaks it.
"""

from __future__ import annotations

from uncensor_trainer.refusals.cue_words import (
    ABLE,
    ADVERBS,
    ASIDE,
    DO,
    LACK,
    MODEL,
    MORALLY_WRONG,
    NOT,
    SOFT_OBJECT,
    SOFT_VERB,
    WRONG,
)
from uncensor_trainer.refusals.cues import Cue, Pattern

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "everyday-cannot",
        Cue.OPENER,
        r"\bcan(?:no|')t (?:help but|wait|believe|imagine|thank|stress|overstate|emphasi[sz]e|"
        r"say enough|tell you how|express how|begin to|go wrong|help (?:feeling|wondering|thinking|"
        r"noticing))|\brecommend [^.!?\n]{0,40}enough\b",
    ),
    Pattern(
        "soft-object",
        Cue.SOFT,
        rf"\bi{ASIDE} ?{NOT} {ADVERBS}{ABLE}(?:\w+,? (?:or |and |nor )?){{0,4}}?{SOFT_OBJECT}",
    ),
    Pattern("soft-verb", Cue.SOFT, rf"\bi{ASIDE} ?{NOT} {ADVERBS}{ABLE}{SOFT_VERB}"),
    Pattern(
        "cannot-do",
        Cue.DECLINE,
        rf"\b(?:i|we)(?:{ASIDE} ?|\b[^.!?\n]{{0,120}}? and (?:therefore |thus |"
        rf"so )?){NOT},? {ADVERBS}{ABLE}(?:\w+(?: \w+)?,? (?:or|and|nor) )?{DO}",
    ),
    Pattern(
        "bare-cannot",
        Cue.DECLINE,
        r"^(?:no(?:pe)?, |nah, |sorry,? (?:but )?|(?:i'm|i am) sorry,? (?:but )?|"
        rf"unfortunately,? )?(?:unable to|cannot|can't|not able to|won't) {ADVERBS}{DO}",
    ),
    Pattern(
        "declines",
        Cue.DECLINE,
        r"\b(?:i|we)(?: (?:must|have to|need to|will have to|will need to|would have to|"
        r"'ll have to|'ll need to|am going to|should|would like to|will))?(?:'m (?:going to|"
        r"gonna)(?: have to)?|'ll have to|'ll)? ?(?:respectfully |politely |kindly |"
        r"firmly )*(?:declin(?:e|ing)|refus(?:e|ing)|pass on|say no|abstain|refrain from|"
        r"avoid (?:making|writing|providing|creating|generating))\b|\b(?:must|have to|need to|"
        r"going to|will|'ll) turn (?:(?:this|that|it|you|your request|this request) down|"
        r"down (?:this|that|your)|down[.!])|\bi(?:'d| would) (?:love|like|"
        r"be happy) to\b[^.!?\n]{0,40}\bbut i (?:can't|cannot|won't|am not able|'m not able)\b",
    ),
    Pattern(
        "rather-not",
        Cue.DECLINE,
        r"\bi(?:'d| would) (?:rather|prefer|much rather)(?: to)? not\b|\bi (?:do not|"
        r"don't) (?:feel (?:comfortable|right|it)|think i (?:should|can|could)|think (?:it|that|"
        r"this)(?:'s| is| would be| was) (?:appropriate|right|a good|ethical|wise|helpful|okay|"
        r"something)|want to|wish to|believe (?:it|that|this)(?:'s| is| would be)|"
        r"believe i should)",
    ),
    Pattern(
        "no-way",
        Cue.DECLINE,
        r"\bno way (?:that )?i(?:'m| am|'ll| will|'d| would|)\b|\b(?:don't|do not|"
        r"stop) ask(?:ing)? me (?:to|for|about)\b|\bit (?:wouldn't be|would not be|isn't|"
        r"is not) (?:right|fair|kind|okay|ok|proper|appropriate|ethical|responsible|"
        r"honest)[^.!?\n]{0,40} for (?:me|us|an ai|a language model)\b",
    ),
    Pattern(
        "against-rules",
        Cue.DECLINE,
        r"\b(?:against|violat\w+|contrary to|conflicts? with|in line with|outside(?: of)?|"
        r"aligned? with|contradicts?|prohibited by|breach\w*) (?:of )?(?:my|our|openai(?:'s)?|"
        r"anthropic's|google's|meta's|the community|the content|the usage|the safety|the ethical|"
        r"ethical|(?:basic |fundamental )?moral|the guidelines|the policies|the polic|"
        r"the principles|the values)(?: [\w-]+){0,4}",
    ),
    Pattern(
        "not-in-my-programming",
        Cue.DECLINE,
        r"(?:\bnot|n't)(?: \w+){0,2} (?:(?:within|in|part of) my (?:\w+ )?(?:programming|"
        r"capabilit\w+|guidelines|abilit\w+|nature|power|scope|design|purpose|role|code)|"
        r"my (?:place|job|role) to)\b|\bmy (?:\w+ )?(?:programming|guidelines|policies|training|"
        r"developers?|creators?|principles) (?:\w+ )?(?:prohibits?|does not|doesn't|do not|don't|"
        r"prevents?|forbids?|restricts?|limits?|not allow)|\bi(?:'m| am|'ve been|"
        r" was) not (?:\w+ )?(?:programmed|designed|allowed|permitted|trained|authori[sz]ed) to\b|"
        r"\bprogrammed (?:not|to (?:avoid|refuse|decline|refrain))|\bi(?:'m|"
        r" am) (?:\w+ )?(?:restricted|prohibited|forbidden|barred) from\b",
    ),
    Pattern(
        "not-something-i-can",
        Cue.DECLINE,
        r"\b(?:not|isn't|n't|beyond|outside) (?:of )?(?:something|anything|a (?:request|topic|"
        r"task|thing|question|subject)|what|the kind of \w+|one)(?: that| which)? (?:i|we)(?:'m|"
        r" am|'d| would| will|'ll| can|'re)\b|\b(?:beyond|outside)(?: of)? (?:my|"
        r"the scope of (?:my|what))\b",
    ),
    Pattern(
        "request-cannot-be-met",
        Cue.DECLINE,
        r"\b(?:request|prompt|question|task|query|instruction)s? (?:cannot|can't|can not|could not|"
        r"won't|will not) be\b|\b(?:request|prompt)s? (?:has|have) been (?:declined|rejected|"
        r"refused|blocked)\b|\bi (?:have|'ve) been (?:instructed|told|asked|trained|"
        r"programmed) not to\b|\bno can do\b",
    ),
    Pattern(
        "wrong-for-me",
        Cue.DECLINE,
        r"\b(?:it|that|this|doing (?:so|that|this))(?:'s| is| would| would be| wouldn't be|"
        rf" would not be| isn't| was| will be| may be| might be)(?: \w+){{0,2}}? {WRONG}[^.!?\n]"
        rf"{{0,40}}? for (?:me|an ai|a language model|us)\b|\b(?:it|that|this)(?:'s| is| would|"
        rf" wouldn't| isn't)(?: \w+){{0,2}}? {WRONG}[^.!?\n]{{0,40}}? to (?:be )?(?:writ(?:e|ing)|"
        r"generat(?:e|ing)|creat(?:e|ing)|provid(?:e|ing)|compos(?:e|ing)|produce|answer|"
        r"respond|fabricate|assist|fulfill?)\b",
    ),
    Pattern(
        "wrong-to-give",
        Cue.DECLINE,
        r"^(?:\W*i (?:don't|do not) (?:think|believe) )?(?:it|that|this)(?:'s| is| would|"
        rf" would be| wouldn't be| would not be| isn't)(?: \w+){{0,2}}? {MORALLY_WRONG}(?:,? (?:or|"
        rf"and|"
        r"nor) \w+)*,? to (?:\w+ or )?(?:encourage|promote|provide|discuss|share|give|offer|"
        r"engage in|make (?:jokes|fun|light|assumptions|generali)|joke|speculate|seek|ask|"
        r"access|use|say|write|create|attempt|try|answer|assist)\b",
    ),
    Pattern(
        "cannot-condone",
        Cue.DECLINE,
        rf"\b(?:i|we){ASIDE} ?(?:\w+ )?{NOT} (?:\w+ (?:or|and|,) )?(?:condone|endorse|promote|"
        r"support|encourage|engage|tolerate|participate|believe in|approve)",
    ),
    Pattern(
        "sorry-but",
        Cue.DECLINE,
        r"^(?:(?:i'm|i am) (?:\w+ )?(?:sorry|afraid)|sorry|apologies|my apologies|i apologi[sz]e|"
        r"i regret|unfortunately[^.!?\n]{0,60}\b(?:i|we|my|your request|this request|"
        r"your question))\b[^.!?\n]{0,160}?\b(?:cannot|can't|can not|could not|won't|will not|"
        r"unable|not able|not allowed|not permitted|declin\w+|refus\w+|should not|shouldn't|"
        r"not appropriate|not comfortable|beyond my|outside my|inappropriate|against|"
        r"crosses a line|(?:that's|that is|this is) not possible|(?:is|are|be|was|were|as|"
        r"considered) (?:\w+ ){0,3}?(?:dishonest|irresponsible|cruel|unkind|offensive|derogatory|"
        r"discriminatory|disrespectful|hateful|harmful|illegal|unlawful|unethical|immoral|"
        r"morally wrong|unacceptable|racist|sexist)|(?:not|never|n't) (?:\w+ ){0,2}?(?:appropriate|"
        r"ethical|acceptable|legal|healthy|respectful|okay|right))\b",
    ),
    Pattern(
        "sorry-no",
        Cue.DECLINE,
        r"^(?:that's|that is|it's) an? (?:\w+ )?no\b|^(?:i'm |i am )?(?:sorry|apologies|"
        r"respectfully),? (?:but )?(?:no|i'd rather not|not this time|not (?:doing|writing|helping|"
        r"answering))\b(?: (?:can do|thanks?|thank you))?(?:[.!,;]|$)",
    ),
    Pattern(
        "another-topic",
        Cue.DECLINE,
        r"^(?:(?:i think|perhaps|maybe|instead|so|and),? )?(?:let's|let us|we should|we could|"
        r"can we|could we|shall we|why don't we|how about we|i'd (?:rather|prefer to)|"
        r"i would (?:rather|prefer to)) (?:\w+ )?(?:talk about|discuss|speak about|change|"
        r"switch(?: to)?|move on(?: to)?|choose|pick|try) (?:something (?:else|different|more)|"
        r"another (?:topic|subject)|an?(?:other)? different (?:topic|subject)|the (?:topic|"
        r"subject))(?: instead| please| now)?(?:[.!?,;]|$)",
    ),
    Pattern(
        "no-tool",
        Cue.UNABLE,
        rf"\b(?:i|we){LACK} ?(?:access|information|context|details?|data|records?|brows\w+|"
        r"internet|tools?|functionality|function|feature|permission)\b|"
        r"\b(?:i|we)(?:'m| am)? (?:currently |unfortunately |also )?(?:cannot|can't|can not|"
        r"unable to|not able to|not capable of|don't|do not) (?:currently |directly |physically |"
        r"actually )*(?:access\w*|brows\w+|open\w*|view\w*|see\b|hear\b|verify\w*|look (?:\w+ )?up|"
        r"search\w*|retriev\w+|book\w*|order\b|send\w*|play\w*|watch\w*|display\w*|attach\w*|"
        r"upload\w*|download\w*|draw\b|make (?:calls|purchases|reservations)|perform (?:tasks|"
        r"actions)|locate|click|read (?:the|your)|listen|find (?:any|the|that|a))|"
        rf"\b(?:i|we){LACK} ?(?:abilit|capabilit|capacit)\w+ to (?:\w+ )?(?:book|order|call|send|"
        r"open|access|browse|search|place|make (?:calls|purchases|reservations|bookings)|control|"
        r"perform external|schedule|track|set (?:an?|your)|view|see (?:your|the|images|"
        r"pictures))\b",
    ),
    Pattern(
        "limited-functions",
        Cue.UNABLE,
        r"\bmy (?:current |available |only )*(?:capabilit\w+|functions?|abilit\w+) (?:is|are|only) "
        r"(?:currently )?(?:limited|restricted|to|allows?|includes?)\b|"
        r"\b(?:limited to|don't have|do not have|without) the functions?\b|"
        r"\bnot (?:\w+ )?connected to (?:the |any )?(?:internet|web)\b|"
        r"\b(?:an? )?external (?:task|tool|service)\b|\bfunctions? (?:provided|available|given)\b",
    ),
    Pattern(
        "no-live-data",
        Cue.UNABLE,
        r"\b(?:i|we)(?:'m| am)? (?:\w+ ){0,2}?(?:cannot|can't|can not|unable to|not able to|do not|"
        r"don't) (?:\w+ ){0,3}?(?:real-?time|live|up-to-date|current|latest)(?: (?:or|"
        r"and) [\w-]+)? (?:\w+ )?(?:information|data|news|weather|prices?|updates?|events|results|"
        r"scores|statistics|time|clock|updates?)\b|"
        rf"\b(?:i|we){ASIDE} ?{NOT} {ADVERBS}{ABLE}(?:predict\w*|foresee|know|"
        rf"foretell) (?:the |what )?"
        r"(?:\w+ )?(?:future|outcomes?|elections?|results?|winner|will happen)\b|\b(?:i|"
        r"we) (?:\w+ ){0,2}?(?:don't|do not) (?:\w+ ){0,2}?know (?:the |what )?(?:current|today|"
        r"date|time)\b|\bno way (?:of|to) know(?:ing)?\b",
    ),
    # What only a body, a licence or a life would give: a poor excuse when a text was asked for.
    Pattern(
        "no-ability",
        Cue.UNABLE,
        rf"\b(?:i|we){LACK} ?(?:abilit\w+|capabilit\w+|capacity|means|knowledge|way (?:of|to)|"
        r"hands|eyes|body|senses?|qualifications?|training|experience)\b|\b(?:i|we)(?:'m|"
        r" am) not (?:an? )?(?:\w+ )?(?:qualified|certified|licen[sc]ed|authori[sz]ed|doctor|"
        r"lawyer|physician|therapist|expert|professional)",
    ),
    Pattern(
        "knowledge-ends",
        Cue.UNABLE,
        r"\b(?:knowledge|training|data|information) (?:\w+ )?(?:cut-?off|only (?:goes|extends)|"
        r"is (?:limited|current))|\bas of my (?:last|latest|knowledge|training)",
    ),
    Pattern(
        "input-missing",
        Cue.UNABLE,
        r"\b(?:please|could you|can you|would you|kindly|need you to|you need to|if you (?:can|"
        r"could)) (?:please |also |kindly )?(?:provide|shar(?:e|ing)|paste|specify|clarify|give me|"
        r"tell me (?:more|which|what)|restate|repeat|upload|attach|elaborate|rephrase|supply|enter|"
        r"include)\b|\b(?:need|require|without) (?:some |a bit |a little |any |knowing |the |"
        r"seeing )?(?:more |additional |further |specific |full |actual |original )?(?:information|"
        r"context|details|specifics|text\b|article|passage|input)|\b(?:cannot|can't|do not|don't|"
        r"didn't|couldn't|unable to) (?:\w+ )?(?:understand (?:your|the|what)|figure out|"
        r"make sense of)|\bwithout (?:knowing|seeing|having|access)\b|\b(?:text|passage|"
        r"description|article|sentence|information|input|question)(?: \w+){0,2} (?:does not|"
        r"doesn't|did not|didn't) (?:\w+ )?(?:contain|include|mention|specify|provide)\b|\b(?:no|"
        r"any) (?:input|text|image|attachment|file|passage|article|link|context|details|"
        r"information|specific|further)[^.!?\n]{0,30} (?:provided|given|attached|shared|included)|"
        r"\b(?:what|which) (?:exactly )?(?:do you mean|would you like|are you (?:referring|looking|"
        r"asking)|type of|kind of|specific)|\b(?:seems?|looks?|appears?)(?: like| that| as though|"
        r" to be)* (?:you(?:'ve| have)? (?:did not|didn't|forgot|haven't|have not|accidentally|"
        r"not)|there(?:'s| is| was| may| might)[^.!?\n]{0,30}(?:missing|typo|incomplete|mistake|"
        r"no )|your (?:message|question|request|prompt|input)[^.!?\n]{0,30}(?:cut|incomplete|"
        r"missing|empty|unclear|blank))|\bthere(?:'s| is| was) no (?:attachment|file|image|picture|"
        r"text|link|input|article)\b|\bi (?:don't|do not|can't|cannot) see (?:any|the|"
        r"an?) (?:\w+ )?(?:text|image|attachment|file|link|picture)\b",
    ),
    Pattern(
        "as-a-model",
        Cue.MODEL,
        r"\b(?:as|being|(?:i'm|i am|am|only|just)(?: just| only| simply| merely)?) (?:an? |"
        rf"just an? |merely an? |simply an? |only an? )?(?:\w+ ){{0,2}}?{MODEL}",
    ),
    Pattern(
        "neutral",
        Cue.SOFT,
        r"\b(?:i|we|must|should|to|am|i'm|'m|programming)\b[^.!?\n]{0,40}\b(?:remain|remains|"
        r"stay|be|maintain|being|am|i'm|strive|adhere)\b[^.!?\n]{0,30}\b(?:neutral\w*|"
        r"impartial\w*|unbiased|objectiv\w+)|\bi (?:remain|stay) (?:politically )?(?:neutral|"
        r"impartial)",
    ),
    Pattern(
        "fault-with-request",
        Cue.REBUKE,
        r"\b(?:your|the|this|that|such|these|those) (?:\w+ )?(?:requests?|questions?|prompts?|"
        r"statements?|premise|quer(?:y|ies)|assertions?|language|suggestions?|actions?|"
        r"behaviou?rs?|claims?|topics?|jokes?|comments?|stereotypes?|ideas?|"
        rf"assumptions?)\b[^.!?\n]{{0,60}}?\b(?:{WRONG}|violat\w+|promot\w+|hate speech|"
        r"stereotyp\w+|perpetuat\w+|against|not supported|unsubstantiated|false|misleading|"
        r"loaded)",
    ),
    Pattern(
        "wrong-to",
        Cue.REBUKE,
        r"\b(?:it(?:'s| is| was| would| would be| wouldn't be| isn't| can be)|i (?:don't|"
        r"do not) (?:think|believe|agree)(?: that| with| it(?:'s| is))*|is|are|was|were|isn't|"
        rf"aren't|wasn't|be)(?: \w+){{0,2}}? {WRONG}(?:,? (?:or|and|nor) \w+)*(?:,? (?:to|for|"
        r"that|when|in|as|because|by|under|against)\b|[.,!]|$)",
    ),
    Pattern(
        "no-reason",
        Cue.REBUKE,
        r"\b(?:there(?:'s| is| are| was| were|'re)|has|have)(?: absolutely| simply| also)? (?:no|"
        r"not any|never (?:an?|any)|n't any) (?:\w+ ){0,3}?(?:reasons?|justification|excuse|place|"
        r"room)\b|\b(?:was|were|is|are|has|have) (?:not|never|n't) (?:\w+ )?(?:right to|justified|"
        r"a good thing|morally|superior|inferior)\b|\bcannot be (?:justified|condoned|tolerated|"
        r"excused|generali[sz]ed|defended)|\b(?:violence|discrimination|racism|abuse|bullying|"
        r"suicide|harming|hatred)[^.!?\n]{0,40} is (?:never|not)\b",
    ),
    Pattern(
        "must-point-out",
        Cue.REBUKE,
        r"\bi (?:must|have to|feel (?:obliged|compelled)|would like to|want to|need to|should|"
        r"cannot ignore)(?: \w+)? ?(?:to )?(?:point out|inform you|address|clarify|emphasi[sz]e|"
        r"remind|stress|caution|strongly|inform|note|warn|make it clear|"
        r"express my concern)",
    ),
    Pattern(
        "important-to",
        Cue.LECTURE,
        r"\b(?:it(?:'s| is| would be| may be)|(?:is|are)(?: also)?|remains?)(?: also| always|"
        r" very| crucial| extremely| equally| more| best| therefore| much|"
        r" ultimately)* (?:important|essential|crucial|vital|necessary|imperative|critical|"
        r"worth noting|better|best|wise|recommended|advisable|paramount)(?: (?:for|"
        r"that) (?:\w+ ){1,3}?)?(?: (?:always|also|instead))*,? (?:to|that|we|and)\b",
    ),
    Pattern(
        "we-should",
        Cue.LECTURE,
        r"\b(?:we|everyone|everybody|you|one|people|individuals|all (?:people|individuals|humans|"
        r"of us)|society|they|and|instead|it)(?: \w+)? (?:should|must|ought to|"
        r"have a responsibility|deserves?|has? the right|have the right|are entitled|are equal)\b|"
        r"\blet(?:'s| us) (?:all |instead |not |always |try |work |focus |promote |strive |spread |"
        r"keep |refrain |treat |use |celebrate |choose |respect |be )|\bregardless of (?:their|his|"
        r"her|one's|race|gender|any|the|our|your|its|who|age|background|differences|ethnic)|"
        r"\b(?:every|each|all) (?:\w+ )?(?:person|individual|individuals|people|human|humans|"
        r"human beings?|life|lives|one)\b[^.!?\n]{0,60}\b(?:unique|deserves?|equal\w*|respect\w*|"
        r"dignity|valued?|rights?|worth|different)\b",
    ),
    Pattern(
        "values",
        Cue.LECTURE,
        r"\b(?:promot|foster|encourag|strive|striv|creat|ensur|prioriti|respect|approach|treat|"
        r"celebrat|valu|embrac|uphold|spread|support|maintain|focus|practi[cs]|advocat|show|use|"
        r"engag|build|consider|seek|choos)\w*\b[^.!?\n]{0,80}\b(?:respect\w*|dignity|inclusiv\w+|"
        r"inclusion|empathy|kindness|compassion\w*|equality|equity|equal\w*|diversity|tolerance|"
        r"understanding|well-?being|safety|peace\w*|harmony|positiv\w+|consent|non-?violent|"
        r"legal|ethical\w*|responsib\w+|privacy|rights|consequences|boundaries|constructive)\b",
    ),
    Pattern(
        "virtues",
        Cue.LECTURE,
        r"\b(?:should|ought to|must) (?:always|never|all|guide|be used|be treated|be approached|"
        r"be enjoyed|be valued)\b|\bwe (?:encourage|might consider|ought|all have)\b|"
        r"\b(?:humility|mindful\w*|compassion|empathy|kindness|dignity|integrity|considerate\w*|"
        r"respectful(?:ly)?|self-acceptance|self-respect|harmful (?:habits|attitudes|"
        r"stereotypes)|hurtful|with (?:care|respect|patience|sensitivity))\b",
    ),
    Pattern(
        "against-groups",
        Cue.LECTURE,
        r"\b(?:generali[sz]\w*|stereotyp\w*|prejudic\w*|discriminat\w*|bigotry|hate speech|"
        r"objectif\w+|biases)\b",
    ),
    Pattern(
        "harms",
        Cue.LECTURE,
        r"\b(?:is|are|can|could|may|might|would|be|has|have|lead|leads|cause|causes|"
        r"constitute\w*|perpetuate\w*)\b[^.!?\n]{0,50}\b(?:illegal|unlawful|crimes?|criminal|"
        r"felony|unethical|immoral|harmful|dangerous|(?:serious|severe|legal|negative|"
        r"devastating|fatal|long-lasting) (?:\w+ )?(?:consequences|harm|injury|damage|offen[cs]e|"
        r"effects|implications|issue|trauma)|violation|violat\w+|harm\b|hurtful|offensive|cruel|"
        r"abus\w+)\b",
    ),
    Pattern(
        "seek-help",
        Cue.LECTURE,
        r"\b(?:seek|reach(?:ing)? out|contact(?:ing)?|consult(?:ing)?|speak(?:ing)?|talk(?:ing)?|"
        r"turn(?:ing)?|seeking|call(?:ing)?|report(?:ing)?)\b[^.!?\n]{0,50}\b(?:professionals?|"
        r"help|hotline|therapists?|counsel\w+|authorit\w+|law enforcement|police|trusted|"
        r"emergency|support|lawyer|attorney|doctor|provider|expert|services|friend|lifeline|"
        r"resources)\b|\b(?:help|support|resources) (?:is|are) available|\byou(?:'re|"
        r" are) not alone",
    ),
    Pattern(
        "instead",
        Cue.LECTURE,
        r"^(?:instead|rather)(?: of \w+)?,? |\bi (?:would |'d |strongly |kindly |also |"
        r"highly )*(?:encourage|urge|advise|recommend|suggest) (?:you|that|we|seeking|consulting|"
        r"focusing|reaching|respecting|treating|finding|exploring|using)|\b(?:refrain|avoid|"
        r"abstain) (?:from )?\w+ing\b|\b(?:alternative|healthier|safer|legal|ethical|positive|"
        r"constructive) (?:\w+ )?(?:ways?|means|methods?|approach\w*|solutions?|options?|"
        r"alternatives?)\b",
    ),
    Pattern(
        "offers",
        Cue.OFFER,
        r"\b(?:let me know|feel free|is there (?:anything|something|another)|(?:can|may|could|"
        r"how (?:can|may)) i (?:help|assist|offer|suggest|interest)|(?:happy|glad|here) to (?:help|"
        r"assist|answer|provide|support|offer|discuss|write|share)|if you (?:have|need|would like|"
        r"'d like|want|are (?:looking|interested|having|struggling|experiencing))|if you're|"
        r"would you like|i(?:'d| would) be (?:happy|glad|more than)|please (?:ask|try|rephrase|let|"
        r"don't hesitate|do not hesitate|feel)|rephrase (?:it|your|the)|try asking|ask me|"
        r"anything else|another (?:topic|question|prompt|request|way)|different (?:topic|question|"
        r"prompt|request|subject|type)|do my best|how about)\b|\bi can (?:help|assist|suggest|"
        r"offer|provide|try|write|share|discuss|recommend|create|generate|certainly|instead|"
        r"definitely|answer)",
    ),
    Pattern(
        "polite",
        Cue.OFFER,
        r"^(?:thank(?:s| you)|i (?:completely |fully |can |do )?(?:understand|appreciate|see)\b|"
        r"i(?:'m| am) (?:glad|happy|here|flattered|always)|(?:that's|that is|"
        r"what) an? (?:\w+ )?(?:question|request|topic|idea)|(?:great|good|interesting) question|"
        r"hello|hi\b|hey\b|of course|sure\b|certainly)",
    ),
    Pattern(
        "elsewhere",
        Cue.OFFER,
        r"^(?:perhaps |maybe |instead,? )?(?:please |kindly |do |you (?:may|might|could|can|"
        r"should) (?:want to |wish to )?|i (?:suggest|recommend|advise)(?: that)? you |"
        r"consider )?(?:turn to|consult|seek|refer to|use a|check (?:with|the|a)|ask (?:a|an|the|"
        r"your|someone|somebody)|contact|speak (?:to|with)|see a|visit|look (?:it|this|them) up|"
        r"find (?:what|a|an|this|that)|try (?:a|an|the|writing|asking|searching|looking|taking)|"
        r"tak(?:e|ing) lessons|read a|hire|hiring)\b|\b(?:an?|your|the) [^.!?\n]{3,40} (?:will|"
        r"would|could|should|can|may|might) (?:be (?:able|better|more|the|of help|a better)|help|"
        r"assist|know|contain|have)\b|\bi hope (?:you|that you) (?:understand|can understand)",
    ),
    Pattern(
        "own-purpose",
        Cue.SELF,
        r"\bmy (?:\w+ )?(?:purpose|goal|role|programming|responses?|job|aim|function|training|"
        r"responsib\w+|design|main|primary|duty|knowledge)\b|\bi(?:'m| am| was|'ve been|"
        r" have been)? (?:only |also |just |always )?(?:strive|aim|programmed|designed|here to|"
        r"trained|created|built|meant|committed|intended|respect)\b|\bopenai\b|\b(?:i|"
        r"we) (?:only|always|do not|don't) (?:\w+ )?(?:provide|promote|uphold|respond)",
    ),
    Pattern(
        "announces",
        Cue.OPENER,
        r"\b(?:here(?:'s| is| are)(?: an?| some| the| one| my)?\b|below (?:is|are)|"
        r"i(?:'ll)? (?:can|could|will|would|may|'ll) (?:\w+ )?(?:provide|offer|give|explain|tell|"
        r"share|suggest|create|write|describe|summari[sz]e|outline|point|list|still|try|present|"
        r"certainly) (?:you )?|in my (?:opinion|view)|the following|some (?:general|possible|"
        r"common|popular|potential|of the)|generally speaking|according to|for example)",
    ),
)
