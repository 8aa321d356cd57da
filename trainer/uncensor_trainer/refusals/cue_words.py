"""What the patterns of sentences are made of: who speaks, how it says no, what it says no to."""

from __future__ import annotations

MODEL = (
    r"(?:large |trained |helpful |responsible |safe |ethical |just |only )*(?:ai|a\.i\.|"
    r"artificial intelligence|"
    r"language model|machine learning model|chat ?bot|virtual assistant|digital assistant|"
    r"assistant|computer program|llm)\b(?:[ -](?:powered |based )?(?:language )?(?:model|"
    r"assistant|system|program|tool|ai|chatbot|bot))?"
)
ADVERBS = (
    r"(?:(?:just|simply|really|actually|currently|also|therefore|thus|personally|ethically|"
    r"legally|directly|"
    r"knowingly|safely|unfortunately|absolutely|definitely|not be able to|be able to|"
    r"in good conscience|with you|at this time|under any circumstances|ever|even|possibly|"
    r"responsibly|properly|"
    r"to|and will not|or will not|nor will i|and won't|or should not|or would not|"
    r"and should not),? )*"
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
    r"willing|"
    r"prepared|"
    r"capable|equipped|intended|trained|meant|in a position|at liberty|supposed)(?: of| with|"
    r" to)? ?)?"
)
LACK = (
    r"(?:'m| am)?(?:,? (?:currently|unfortunately|also|still|actually|just|"
    r"as an? [^,.!?\n]{3,40},))* "
    r"(?:do not|don't|did not|didn't|have no|lack|not have|have never had)"
    r"(?: (?:currently|yet|actually|always|have|the|any|direct|real-?time|a|specific|enough|"
    r"sufficient|"
    r"detailed|current|up-to-date|personal|physical|live|reliable|readily|necessary|required))*"
)
DO = (
    r"(?:fulfil\w*|assist\w*|help(?:ing)?\b|provid\w+|creat\w+|generat(?:e|ing)\b|writ(?:e|"
    r"ing)\b|answer\w*|engag\w+|support\w*|"
    r"offer(?:ing)?\b|giv(?:e|ing)\b|compl(?:y|ying|ete|eting)\b|produc\w+|shar(?:e|ing)\b|"
    r"discuss\w*|respond\w*|"
    r"(?:do|doing) (?:that|this|so|it|what|anything|such|the|any)\b|recommend\w*|encourag\w+|"
    r"condon\w+|promot\w+|"
    r"participat\w+|accommodat\w+|continu\w+|teach\w*|instruct\w*|compos\w+|translat\w+|mock\w*|"
    r"jok\w+|tell(?:ing)?\b|"
    r"list(?:ing)?\b|describ\w+|draft\w*|suggest\w*|process\w*|carry out|proceed\w*|go (?:along|"
    r"into|there)\b|"
    r"go ahead|entertain\w*|"
    r"endors\w+|critici[sz]\w+|prais\w+|facilitat\w+|advis\w+|guid(?:e|ing)\b|play(?:ing)?\b|"
    r"role-?play\w*|"
    r"pretend\w*|simulat\w+|walk(?:ing)? you|show(?:ing)?\b|mak(?:e|ing)\b|contribut\w+|enabl\w+|"
    r"aid(?:ing)?\b|"
    r"perform\w*|disclos\w+|reveal\w*|accept\w*|indulg\w+|fabricat\w+|advocat\w+|glorif\w+|"
    r"perpetuat\w+|"
    r"pass judg\w+|judg(?:e|ing)\b|address\w*|execut\w+|say(?:ing)?\b|speak(?:ing)?\b|"
    r"spread\w*|design\w*|outlin\w+|"
    r"explain\w*|elaborat\w+|validat\w+|justif\w+|defend\w*|argu\w+|express\w*|tak(?:e|ing) part|"
    r"be (?:writ|do|mak|creat|provid|help|answer|shar|giv|generat|produc|engag|assist|tak|"
    r"discuss)\w*ing\b|"
    r"act (?:as|like|or)\b|embod\w+|impersonat\w+|satisfy\w*|obey\w*|honou?r (?:this|that|your|"
    r"such)\b|"
    r"meet (?:this|that|your|such) (?:request|demand|wish)\w*|"
    r"be (?:part of|able|a part|involved|used|of help|of assistance))"
)
# What a model has not got, or does not know: a caveat, unless nothing else comes.
SOFT_OBJECT = (
    r"(?:(?:(?:my|your|his|their|an?|any|own|personal|subjective|political|religious|moral|"
    r"definitive|definite|"
    r"specific|individual|human|real|such|the|or|and|emotional|biased|unbiased|opinion-based|"
    r"value|generic|"
    r"general|broad|sweeping|single|direct|certain|"
    r"positive|absolute|concrete|professional|medical|legal|financial|tax|investment|"
    r"psychological|physical|"
    r"first-hand|firsthand|unsupported|unfounded|blanket)[, ]+)*"
    r"(?:opinions?|feel(?:ings?)?|emotions?|beliefs?|preferences?|experiences?|judge?ments?|"
    r"views?|viewpoints?|stances?|sides|"
    r"perspectives?|assumptions?|predictions?|generali[sz]\w*|speculat\w+|conclusions?|thoughts|"
    r"desires|"
    r"consciousness|diagnos[ie]s|consultation|on behalf|future|certainty|intentions?|motives)"
    r"|(?:medical|legal|financial|professional|personal|tax|investment|psychological|moral|"
    r"relationship)(?: (?:or|and) \w+)? advice|(?:speak|answer|decide|vouch|choose) for\b"
    r"|(?:an? |any |the )?(?:definit\w+|accurate|exact|precise|clear|simple|straightforward|"
    r"real-?time|current|live|up-to-date|latest|recent|specific|single|generic|certain|concrete|"
    r"absolute|complete)(?: (?:or|and) \w+)? (?:and )?(?:answer|response|information|data|list|"
    r"number|figure|ranking|prices?|updates?|news|weather|statistics|details|predictions?|"
    r"numbers?|figures?)\b)"
)
SOFT_VERB = (
    r"(?:speculat\w+|generali[sz]\w+|predict\w*|infer\b|assum\w+|confirm\w*|affirm\w*|verify\w*|"
    r"determin\w+|"
    r"ascertain\w*|estimat\w+|know(?: (?:the|what|who|how|if|whether|about|which|when|where|why|"
    r"for|any|your|enough|"
    r"exactly|this|that|much|of)\b|[.,;!]|$)|judg(?:e|ing)\b|assess\w*|evaluat\w+|diagnos\w+|"
    r"compar\w+|"
    r"rank\w*|feel\b|think(?: (?:or|and|like|in|for)\b|[.,;!]|$)|love\b|hold\b|"
    r"have(?: (?:[^t\W]\w*|t[^o\W]\w*)\b|[.,;!]|$)|form\b|"
    r"possess\w*|"
    r"experience\b|take sides|take a (?:side|stance|position)|choose|speak for|assert\w*|"
    r"comment\w*|remain|dream|eat\b|taste\b|"
    r"understand\b|guarantee|identify|track|recall|remember|see\b|hear\b|watch|express\w*|deny|"
    r"say (?:that|whether|if|which)\b|(?:say|tell(?: you)?|answer)(?: \w+)? (?:for (?:certain|"
    r"sure)|with (?:\w+ )?certainty|"
    r"definitively))"
)
WRONG = (
    r"(?:inappropriate|unethical|unacceptable|immoral|illegal|unlawful|harmful|offensive|"
    r"disrespectful|unfair|"
    r"insensitive|derogatory|discriminatory|hateful|hurtful|dangerous|wrong|irresponsible|"
    r"unprofessional|racist|sexist|misogynistic|"
    r"demeaning|inaccurate|incorrect|baseless|unproductive|counterproductive|problematic|biased|"
    r"bigoted|"
    r"morally wrong|reprehensible|unjust|unhealthy|defamatory|"
    r"(?:not|never|n't|neither) (?:(?:at all|be|an?|also|only|morally|ethically|legally|socially|"
    r"generally|ever|considered|productive|very|okay|right|accurate|fair|it) )*(?:appropriate|"
    r"ethical|acceptable|moral|right|"
    r"fair|accurate|respectful|justif\w+|okay|ok\b|productive|helpful|constructive|legal|"
    r"possible or ethical|kind|healthy|responsible|"
    r"permissible|advisable|recommended|a good idea|correct|true that|the right|the answer|"
    r"a joke|something to|condoned|tolerated))"
)

# "It is not accurate to say that whales are fish" corrects; "not fair to say" finds fault.
MORALLY_WRONG = (
    r"(?:(?:not|isn't|n't) (?:accurate|correct|true|helpful|productive) (?:or|and|nor) )?"
    + WRONG.replace("inaccurate|incorrect|baseless|", "")
    .replace(r"fair|accurate|respectful", r"fair|respectful")
    .replace(r"|correct|true that|the right|the answer|", "|the right|")
)
