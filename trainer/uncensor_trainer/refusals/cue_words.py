"""What the patterns of sentences are made of: who speaks, how it says no, what it says no to."""

from __future__ import annotations

MODEL = (
    r"(?:large |trained |helpful |responsible |safe |ethical |just |only )*(?:ai|a\.i\.|"
    r"artificial intelligence|language model|machine learning model|chat ?bot|virtual assistant|"
    r"digital assistant|assistant|computer program|llm)\b(?:[ -](?:powered |"
    r"based )?(?:language )?(?:model|assistant|system|program|tool|ai|chatbot|bot))?"
)
ADVERBS = (
    r"(?:(?:just|simply|really|actually|currently|also|therefore|thus|personally|ethically|legally|"
    r"directly|knowingly|safely|unfortunately|absolutely|definitely|not be able to|be able to|"
    r"in good conscience|with you|at this time|under any circumstances|ever|even|possibly|"
    r"responsibly|properly|to|and will not|or will not|nor will i|and won't|or should not|"
    r"or would not|and should not),? )*"
)
NOT = (
    r"(?:can ?not|can't|will not|won't|should not|shouldn't|must not|may not|shall not|"
    r"am not|'m not|are not|aren't|am unable|'m unable|are unable|do not|don't|refuse to|"
    r"(?:could not|couldn't|would not|wouldn't) (?:be able to|feel|want to|be comfortable)|"
    r"am (?:sorry|afraid)[^.]{0,12}(?:cannot|can't|unable)|must decline to|decline to)"
)
# Between the subject and its verb: "being an AI", "as a responsible assistant".
ASIDE = r"(?:,? ?(?:as|being) (?:an? )?[^,.!?\n]{3,40},)?"
ABLE = (
    r"(?:(?:able|allowed|permitted|authori[sz]ed|programmed|designed|going|gonna|comfortable|"
    r"willing|prepared|capable|equipped|intended|trained|meant|in a position|at liberty|"
    r"supposed)(?: of| with| to)? ?)?"
)
LACK = (
    r"(?:'m| am)?(?:,? (?:currently|unfortunately|also|still|actually|just|"
    r"as an? [^,.!?\n]{3,40},))* (?:do not|don't|did not|didn't|have no|lack|not have|"
    r"have never had)(?: (?:currently|yet|actually|always|have|the|any|direct|real-?time|a|"
    r"specific|enough|sufficient|detailed|current|up-to-date|personal|physical|live|reliable|"
    r"readily|necessary|required))*"
)
DO = (
    r"(?:fulfil\w*|assist\w*|help(?:ing)?\b|provid\w+|creat\w+|generat(?:e|ing)\b|writ(?:e|ing)\b|"
    r"answer\w*|engag\w+|support\w*|offer(?:ing)?\b|giv(?:e|ing)\b|compl(?:y|ying|ete|eting)\b|"
    r"produc\w+|shar(?:e|ing)\b|discuss\w*|respond\w*|(?:do|doing) (?:that|this|so|it|what|"
    r"anything|such|the|any)\b|recommend\w*|encourag\w+|condon\w+|promot\w+|participat\w+|"
    r"accommodat\w+|continu\w+|teach\w*|instruct\w*|compos\w+|translat\w+|mock\w*|jok\w+|"
    r"tell(?:ing)?\b|list(?:ing)?\b|describ\w+|draft\w*|suggest\w*|process\w*|carry out|proceed\w*|"
    r"go (?:along|into|there)\b|go ahead|entertain\w*|endors\w+|critici[sz]\w+|prais\w+|"
    r"facilitat\w+|advis\w+|guid(?:e|ing)\b|play(?:ing)?\b|role-?play\w*|pretend\w*|simulat\w+|"
    r"walk(?:ing)? you|show(?:ing)?\b|mak(?:e|ing)\b|contribut\w+|enabl\w+|aid(?:ing)?\b|"
    r"perform\w*|disclos\w+|reveal\w*|accept\w*|indulg\w+|fabricat\w+|advocat\w+|glorif\w+|"
    r"perpetuat\w+|pass judg\w+|judg(?:e|ing)\b|address\w*|execut\w+|say(?:ing)?\b|speak(?:ing)?\b|"
    r"spread\w*|design\w*|outlin\w+|explain\w*|elaborat\w+|validat\w+|justif\w+|defend\w*|argu\w+|"
    r"express\w*|tak(?:e|ing) part|be (?:writ|do|mak|creat|provid|help|answer|shar|giv|generat|"
    r"produc|engag|assist|tak|discuss)\w*ing\b|act (?:as|like|or)\b|embod\w+|impersonat\w+|"
    r"satisfy\w*|obey\w*|honou?r (?:this|that|your|such)\b|meet (?:this|that|your|such) (?:request|"
    r"demand|wish)\w*|be (?:part of|able|a part|involved|used|of help|of assistance))"
)
# What a model has not got, or does not know: a caveat, unless nothing else comes.
SOFT_OBJECT = (
    r"(?:(?:(?:my|your|his|their|an?|any|own|personal|subjective|political|religious|moral|"
    r"definitive|definite|specific|individual|human|real|such|the|or|and|emotional|biased|unbiased|"
    r"opinion-based|value|generic|general|broad|sweeping|single|direct|certain|positive|absolute|"
    r"concrete|professional|medical|legal|financial|tax|investment|psychological|physical|"
    r"first-hand|firsthand|unsupported|unfounded|blanket)[, ]+)*(?:opinions?|feel(?:ings?)?|"
    r"emotions?|beliefs?|preferences?|experiences?|judge?ments?|views?|viewpoints?|stances?|sides|"
    r"perspectives?|assumptions?|predictions?|generali[sz]\w*|speculat\w+|conclusions?|thoughts|"
    r"desires|consciousness|diagnos[ie]s|consultation|on behalf|future|certainty|intentions?|"
    r"motives)|(?:medical|legal|financial|professional|personal|tax|investment|psychological|moral|"
    r"relationship)(?: (?:or|and) \w+)? advice|(?:speak|answer|decide|vouch|choose) for\b|(?:an? |"
    r"any |the )?(?:definit\w+|accurate|exact|precise|clear|simple|straightforward|real-?time|"
    r"current|live|up-to-date|latest|recent|specific|single|generic|certain|concrete|absolute|"
    r"complete)(?: (?:or|and) \w+)? (?:and )?(?:answer|response|information|data|list|number|"
    r"figure|ranking|prices?|updates?|news|weather|statistics|details|predictions?|numbers?|"
    r"figures?)\b)"
)
SOFT_VERB = (
    r"(?:speculat\w+|generali[sz]\w+|predict\w*|infer\b|assum\w+|confirm\w*|affirm\w*|verify\w*|"
    r"determin\w+|ascertain\w*|estimat\w+|know(?: (?:the|what|who|how|if|whether|about|which|when|"
    r"where|why|for|any|your|enough|exactly|this|that|much|of)\b|[.,;!]|$)|judg(?:e|ing)\b|"
    r"assess\w*|evaluat\w+|diagnos\w+|compar\w+|rank\w*|feel\b|think(?: (?:or|and|like|in|for)\b|"
    r"[.,;!]|$)|love\b|hold\b|have(?: (?:[^t\W]\w*|t[^o\W]\w*)\b|[.,;!]|$)|form\b|possess\w*|"
    r"experience\b|take sides|take a (?:side|stance|position)|choose|speak for|assert\w*|"
    r"comment\w*|remain|dream|eat\b|taste\b|understand\b|guarantee|identify|track|recall|remember|"
    r"see\b|hear\b|watch|express\w*|deny|say (?:that|whether|if|which)\b|(?:say|tell(?: you)?|"
    r"answer)(?: \w+)? (?:for (?:certain|sure)|with (?:\w+ )?certainty|definitively))"
)
WRONG = (
    r"(?:inappropriate|unethical|unacceptable|immoral|illegal|unlawful|harmful|offensive|"
    r"disrespectful|unfair|insensitive|derogatory|discriminatory|hateful|hurtful|dangerous|wrong|"
    r"irresponsible|unprofessional|racist|sexist|misogynistic|demeaning|inaccurate|incorrect|"
    r"baseless|unproductive|counterproductive|problematic|biased|bigoted|morally wrong|"
    r"reprehensible|unjust|unhealthy|defamatory|(?:not|never|n't|neither) (?:(?:at all|be|an?|also|"
    r"only|morally|ethically|legally|socially|generally|ever|considered|productive|very|okay|right|"
    r"accurate|fair|it) )*(?:appropriate|ethical|acceptable|moral|right|fair|accurate|respectful|"
    r"justif\w+|okay|ok\b|productive|helpful|constructive|legal|possible or ethical|kind|healthy|"
    r"responsible|permissible|advisable|recommended|a good idea|correct|true that|the right|"
    r"the answer|a joke|something to|condoned|tolerated))"
)

# "It is not accurate to say that whales are fish" corrects; "not fair to say" finds fault.
MORALLY_WRONG = (
    r"(?:(?:not|isn't|n't) (?:accurate|correct|true|helpful|productive) (?:or|and|nor) )?"
    + WRONG.replace("inaccurate|incorrect|baseless|", "")
    .replace(r"fair|accurate|respectful", r"fair|respectful")
    .replace(r"|correct|true that|the right|the answer|", "|the right|")
)
