{{- define "uncensor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "uncensor.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "uncensor.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "uncensor.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "uncensor.selector" -}}
app.kubernetes.io/name: {{ include "uncensor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "uncensor.labels" -}}
{{ include "uncensor.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: uncensor-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "uncensor.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "uncensor.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed, because serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "uncensor.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The settings as the operator reads them; the chart knows the namespaces and the image. */}}
{{- define "uncensor.settings" -}}
{{- $settings := deepCopy .Values.settings }}
{{- $_ := set $settings "namespaces" .Values.namespaces }}
{{- if not $settings.trainerImage.reference }}
{{- $own := printf "ghcr.io/uncensor-dev/uncensor-trainer:%s" .Chart.AppVersion }}
{{- $_ := set $settings.trainerImage "reference" $own }}
{{- end }}
{{- $election := default dict $settings.election }}
{{- if not $election.name }}
{{- $_ := set $election "name" (include "uncensor.fullname" .) }}
{{- end }}
{{- $_ := set $settings "election" $election }}
{{- toYaml $settings }}
{{- end }}

{{- define "uncensor.subjects" -}}
- kind: ServiceAccount
  name: {{ include "uncensor.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
