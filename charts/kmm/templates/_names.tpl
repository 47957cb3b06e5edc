{{/* The release's name, with kmm in it. */}}
{{- define "kmm.fullname" -}}
{{- if contains "kmm" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-kmm" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "kmm.selectorLabels" -}}
app.kubernetes.io/name: kmm
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end }}

{{- define "kmm.labels" -}}
{{ include "kmm.selectorLabels" . }}
app.kubernetes.io/part-of: kmm
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "kmm.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ printf "%s@%s" .repository .digest }}{{ else }}{{ printf "%s:%s" .repository .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "kmm.subject" -}}
- kind: ServiceAccount
  name: {{ include "kmm.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Whether images may be built by OpenShift: something, or nothing. */}}
{{- define "kmm.openshiftBuilds" -}}
{{- $engine := .Values.build.engine | default "auto" }}
{{- if or (eq $engine "openshift") (and (eq $engine "auto") (.Capabilities.APIVersions.Has "build.openshift.io/v1")) }}yes{{ end }}
{{- end }}
