{{/*
Labels of every object. Names are fixed: there is one Slipway in a cluster. Pod templates carry only
name, instance and component, so that a new chart version alone does not restart routers.
*/}}
{{- define "slipway.labels" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image reference from a dict of root and image: digest before tag before appVersion. */}}
{{- define "slipway.image" -}}
{{- with .root.Values.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}
{{- else }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Labels of an object that a monitoring stack selects, from a dict of root and labels. */}}
{{- define "slipway.monitoringLabels" -}}
{{- include "slipway.labels" .root }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
